// Everything on the page that is words and numbers.

const FEELINGS = {
  joined: (contacts) => (contacts > 0 ? `Joined, with ${plural(contacts, "contact")}.` : "The first node of its network, waiting for others."),
  degraded: () => "Joined, with warnings.",
  joining: () => "Joining its network.",
  isolated: () => "Isolated: no contact is left.",
  leaving: () => "Leaving: handing over its records.",
};

function showState(health, contacts) {
  byId("lamp").className = `lamp ${health.state}`;
  byId("feeling").textContent = FEELINGS[health.state](contacts);
  fill(byId("reasons"), health.reasons.map((reason) => make("li", {}, make("b", {}, reason.text), ` ${reason.hint}`)));
}

function figure(name, value, under) {
  return make("div", {}, make("dt", {}, name), make("dd", {}, value), make("dd", {}, under));
}

function meter(used, limit) {
  const bar = make("i", { class: used > 0.9 * limit ? "high" : "" });
  bar.style.width = `${limit > 0 ? Math.min(100, (100 * used) / limit) : 0}%`;
  if (used === 0) bar.hidden = true;
  return make("div", { class: "meter" }, bar);
}

function pair(name, value, ...more) {
  return [make("dt", {}, name), make("dd", {}, value), ...more];
}

function showFigures(view) {
  const { table, records, connections, operations } = view;
  fill(byId("figures"),
    figure("Contacts", number(table.contacts), table.network_size == null ? `median ${millis(table.rtt_median_ms)}` : `of ~${number(rounded(table.network_size))} nodes`),
    figure("Records", number(records.count), bytes(records.bytes)),
    figure("Connections", number(connections.open), `${plural(connections.api, "program")}`),
    figure("Operations", number(operations.running_count), `${plural(operations.requests_in_flight, "request")} in flight`));
}

function showRecords({ records, storage }) {
  const place = storage.directory == null ? "memory only" : storage.directory;
  fill(byId("stores"), make("dl", { class: "pairs" },
    ...pair("Records held", `${number(records.count)} of ${number(records.max_count)}`, meter(records.count, records.max_count)),
    ...pair("Memory of records", `${bytes(records.bytes)} of ${bytes(records.max_bytes)}`, meter(records.bytes, records.max_bytes)),
    ...pair("Next expiry in", span(records.next_expiry_seconds)),
    ...pair("Stored in", storage.failing ? make("span", { class: "alarm" }, "the disk refuses writes") : place)),
    recordList(records));
}

// Some of the records, the next to expire first: their keys, sizes and lives, never what is in them.
const RECORDS_LISTED = 6;

function recordList({ sample, count }) {
  if (sample.length === 0) return null;
  const next = [...sample].sort((one, other) => one.ttl_seconds - other.ttl_seconds).slice(0, RECORDS_LISTED);
  const rows = next.map((record) => make("li", { title: record.key },
    make("code", {}, keyLink(record.key, `${record.key.slice(0, 16)}…`)),
    make("span", {}, record.cached ? "another's to hold" : ""),
    make("span", {}, bytes(record.bytes)),
    make("span", {}, `${span(record.ttl_seconds)} left`)));
  const rest = count - next.length;
  return make("ul", { class: "sample" }, ...rows, rest > 0 && make("li", { class: "empty" }, `and ${number(rest)} more`));
}

const LIMIT_NAMES = {
  address_checks: "Checks of addresses",
  api_connections: "Programs connected",
  api_queued_bytes: "Answers queued for programs",
  api_requests_per_connection: "Requests of one program",
  bytes_per_peer: "Bytes stored by one peer",
  bytes_per_prefix: "Bytes stored by one network",
  connections: "Connections",
  connections_per_address: "Connections from one address",
  connections_per_peer: "Connections from one peer",
  gateway_batches: "Batches of the gateway at once",
  gateway_body_bytes: "Bytes of a request to the gateway",
  gateway_connections: "Gateway connections",
  gateway_kept_packets: "DNS packets kept for their owners",
  gateway_packets: "DNS packets published through the gateway",
  gateway_requests: "Requests to the gateway at once",
  gateway_streams: "Event streams of the gateway",
  handshakes: "Concurrent handshakes",
  handshakes_per_address: "Handshakes from one address",
  http_connections: "HTTP connections",
  http_questions: "Concurrent HTTP queries",
  http_streams: "Open dashboards",
  inbox_events: "Events queued for the driver",
  lost_contacts: "Lost contacts",
  max_bytes: "Bytes of records",
  max_operations: "Concurrent operations",
  configured_peers: "Configured peers",
  max_records: "Records",
  max_unsynced: "Writes awaiting the disk",
  movements: "Nodes joined or failed",
  opinions: "Opinions of peers",
  probes: "Concurrent probes",
  publications: "Values published here",
  queued_bytes: "Bytes queued to be sent",
  queued_copies: "Copies waiting",
  reach_checks: "Reachability checks",
  records_per_peer: "Records stored by one peer",
  records_per_prefix: "Records stored by one network",
  referral_scope: "Addresses named by peers out of scope",
  requests_per_peer: "Requests of one peer",
  requests_per_prefix: "Requests of one network",
  unauthenticated_connections: "Connections without a certificate",
  unreached_replicas: "Records for replicas that were not reached",
  unfinished_writes: "Unfinished disk writes",
};

function showLimits({ limits }) {
  const shown = limits.filter((limit) => limit.limit != null || limit.reached > 0);
  fill(byId("limits"), make("dl", { class: "pairs" }, ...shown.flatMap((limit) => {
    const say = limit.name.includes("bytes") ? bytes : number;
    const reached = limit.reached > 0 && make("span",
      { class: limit.reached_recently > 0 ? "alarm" : "", title: `${number(limit.reached_recently)}× in the last 10 minutes` },
      `reached ${number(limit.reached)}×`);
    const name = LIMIT_NAMES[limit.name] ?? limit.name;
    if (limit.limit == null) return pair(name, reached);
    const value = make("span", {}, `${say(limit.in_use)} of ${say(limit.limit)}`, reached ? " · " : "", reached || "");
    return pair(name, value, meter(limit.in_use, limit.limit));
  })));
}

// A private network's secrets by their fingerprints, each with the connections that it authenticated.
function networkRows(network) {
  if (network == null) return pair("Network", "public");
  const rows = network.secrets.map(({ fingerprint, connections }, index) => make("div", { title: index === 0 ? "proves this node's membership" : "accepted" },
    make("code", {}, fingerprint), ` ${plural(connections, "connection")}${index === 0 ? ", first" : ""}`));
  const refused = network.refused.reduce((sum, { count }) => sum + count, 0);
  return [...pair("Private network", make("span", {}, ...rows)), ...pair("Without membership", `${number(refused)} refused`)];
}

const REACHES = {
  reachable: "yes",
  unreachable: "no: a client until one can",
  client: "no: a client by choice",
  unknown: "not known yet",
};

function clockOf(clock) {
  if (clock == null) return "not known yet";
  const by = `${Math.abs(clock.ahead_seconds).toFixed(1)} s ${clock.ahead_seconds > 0 ? "ahead" : "behind"}`;
  return make("span", { class: clock.wrong ? "alarm" : "", title: clock.text }, by);
}

function showPeers({ node, clock, connections, network, trust, taken_at_ms: taken }) {
  const groups = (connections.groups ?? []).map(({ group, connections: open }) => `${number(open)} ${group}`);
  const bans = trust.bans.map((ban) => `${short(ban.id)} for ${span(ban.seconds_left)}`);
  fill(byId("peers"), make("dl", { class: "pairs" },
    ...pair("Peers can dial this node", make("span", { class: node.reach === "unreachable" ? "alarm" : "" }, REACHES[node.reach] ?? node.reach)),
    ...pair("Clock, beside its contacts'", clockOf(clock)),
    ...pair("Open connections", number(connections.open)),
    ...pair("Key exchange", groups.join(" · ") || "none"),
    ...networkRows(network),
    ...pair("Outbound handshakes", `${number(connections.dialed)} · ${number(connections.dials_failed)} failed`),
    ...pair("Inbound handshakes", `${number(connections.accepted)} · ${number(connections.handshakes_failed)} ended early`),
    ...pair("Last inbound peer", connections.last_caller_ms == null ? "never" : `${span(Math.max(0, (taken - connections.last_caller_ms) / 1000))} ago`),
    ...pair("Violations by peers", number(trust.misbehaved)),
    ...(trust.pins == null ? [] : pair("Pinned certificates", number(trust.pins))),
    ...pair("Banned", bans.length > 0 ? bans.join(", ") : "none")));
}

// How quickly the contacts answer: how many within which time, each step of the axis longer than the
// one before by the same factor.
const RTT_BINS = 48;
const RTT_HEIGHT = 44;

function showRtts(table) {
  const place = byId("rtts");
  const measured = table.buckets.flatMap((bucket) => bucket.contacts).filter((contact) => contact.rtt_ms != null);
  place.hidden = measured.length === 0;
  if (place.hidden) return;
  const logs = measured.map((contact) => Math.log(Math.max(0.01, contact.rtt_ms)));
  // At least a decade, so that a few equal times do not fill the whole width.
  const middle = (Math.min(...logs) + Math.max(...logs)) / 2;
  const half = Math.max((Math.max(...logs) - Math.min(...logs)) / 2, Math.log(10) / 2) * 1.04;
  const from = middle - half;
  const bins = Array.from({ length: RTT_BINS }, () => ({ well: 0, slow: 0, suspect: 0 }));
  measured.forEach((contact, index) => {
    const bin = bins[Math.min(RTT_BINS - 1, Math.floor(((logs[index] - from) / (2 * half)) * RTT_BINS))];
    bin[healthOf(contact, table.rtt_median_ms)] += 1;
  });
  const most = Math.max(...bins.map((bin) => bin.well + bin.slow + bin.suspect));
  const unit = Math.min(RTT_HEIGHT / most, 9);
  const parts = [];
  bins.forEach((bin, index) => {
    let y = RTT_HEIGHT;
    for (const health of ["well", "slow", "suspect"]) {
      if (bin[health] === 0) continue;
      const height = bin[health] * unit;
      y -= height;
      const gap = unit > 4 ? 1 : 0;
      parts.push(draw("rect", { class: `rtt ${health}`, x: (index * 600) / RTT_BINS + 1, y: y + gap / 2, width: 600 / RTT_BINS - 2, height: height - gap, rx: 1.5 }));
    }
  });
  parts.push(draw("path", { class: "base", d: `M0 ${RTT_HEIGHT + 0.5}H600` }));
  const ticks = [];
  for (const value of [0.01, 0.1, 1, 10, 100, 1000, 10000].flatMap((power) => [1, 2, 5].map((step) => step * power))) {
    const x = ((Math.log(value) - from) / (2 * half)) * 100;
    if (x >= 3 && x <= 97) ticks.push([x, value]);
  }
  const every = Math.ceil(ticks.length / 6);
  const words = ticks.filter((_, index) => index % every === 0).map(([x, value]) => {
    const tick = make("span", {}, value < 1 ? `${value} ms` : millis(value).replace(".0 ", " "));
    tick.style.left = `${x}%`;
    return tick;
  });
  const median = table.rtt_median_ms == null ? "" : `median ${millis(table.rtt_median_ms)}`;
  fill(place,
    make("p", { class: "title" }, make("span", {}, "Round-trip times"), make("span", {}, median)),
    draw("svg", { viewBox: `0 0 600 ${RTT_HEIGHT + 1}`, preserveAspectRatio: "none", role: "img", "aria-label": `Round-trip times of ${plural(measured.length, "contact")}, ${median}` }, ...parts),
    make("p", { class: "ticks" }, ...words));
}

const SIGNS = { well: "\u2713", warning: "!", failed: "\u2717", unknown: "?" };

// Has the node examined, and says what came out.
async function examine() {
  const button = byId("examine");
  const place = byId("checks");
  button.disabled = true;
  fill(place, make("p", { class: "empty" }, "Contacts are dialling this node back\u2026"));
  try {
    const response = await fetch(withNode("/doctor"));
    if (!response.ok) throw new Error((await response.text()).trim());
    const { checks } = await response.json();
    fill(place, make("ul", { class: "checks" }, ...checks.map((check) => make("li", { class: check.result },
      make("span", { class: "sign", title: check.result }, SIGNS[check.result]),
      make("span", {}, check.text, check.advice && check.result !== "well" && make("small", {}, check.advice))))));
  } catch (error) {
    fill(place, make("p", { class: "alarm" }, error.message));
  } finally {
    button.disabled = false;
  }
}

function showEvents(events, taken, nodes) {
  const place = byId("events");
  if (events.length === 0) return fill(place, make("li", { class: "empty" }, "No events."));
  fill(place, [...events].reverse().map((event) => {
    const ago = Math.max(0, (taken - event.at_ms) / 1000);
    const who = nodes ? `${nodes[event.node].label}: ` : "";
    const times = event.times > 1 ? ` ${number(event.times)}×` : "";
    return make("li", { class: event.warning ? "warning" : "" },
      make("time", { datetime: new Date(event.at_ms).toISOString() }, span(ago)),
      make("span", {}, who + event.text + times));
  }));
}

// Contacts that entered the routing table or left it, the latest first.
function showChanges(changes, taken) {
  const place = byId("changes");
  if (changes.length === 0) return fill(place, make("li", { class: "empty" }, "No contact has joined or left."));
  fill(place, [...changes].reverse().map((change) => make("li", { class: change.change, title: change.id },
    make("time", { datetime: new Date(change.at_ms).toISOString() }, span(Math.max(0, (taken - change.at_ms) / 1000))),
    make("span", {}, make("b", {}, change.change), " ", make("code", {}, short(change.id)), ` ${change.address}`))));
}

function showLegend(entries) {
  fill(byId("legend"), entries.filter(Boolean).map(([look, text]) => {
    const sign = look === "key-tick"
      ? draw("path", { class: "key-tick", d: "M6 2V10" })
      : look === "held"
        ? draw("path", { class: "held", d: "M6 1V11", "stroke-width": 3 })
        : look.startsWith("line")
          ? draw("path", { class: look, d: "M0 9Q6 -3 12 9", fill: "none", "stroke-width": 1.6 })
        : look === "self"
          ? draw("g", {}, draw("circle", { class: "self", cx: 6, cy: 6, r: 5 }), draw("circle", { class: "self-core", cx: 6, cy: 6, r: 2 }))
          : draw("circle", { class: `dot ${look}`, cx: 6, cy: 6, r: 4.5 });
    return make("li", {}, draw("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, sign), text);
  }));
}

// A table that can be sorted by its heads, and is only filled while it is open.
class Table {
  constructor(columns, order) {
    this.columns = columns;
    this.order = order;
    this.down = false;
    this.rows = [];
    byId("table-details").addEventListener("toggle", () => this.draw());
    const heads = columns.map((column) => make("th", { scope: "col", class: column.number ? "number" : "" },
      make("button", {
        type: "button",
        onclick: () => {
          this.down = this.order === column.name ? !this.down : false;
          this.order = column.name;
          this.draw();
        },
      }, column.name)));
    this.heads = heads;
    this.body = make("tbody");
    byId("table").replaceChildren(make("thead", {}, make("tr", {}, ...heads)), this.body);
  }

  update(rows) {
    this.rows = rows;
    this.draw();
  }

  // Opens the table at the row of this ID, and hands the keyboard to it.
  reveal(id) {
    byId("table-details").open = true;
    this.chosen = id;
    this.draw();
    const row = this.body.querySelector(`tr[data-id="${id}"]`);
    row?.focus();
    row?.scrollIntoView({ block: "center" });
  }

  draw() {
    if (!byId("table-details").open) return;
    const sorted = this.columns.find((column) => column.name === this.order);
    const rank = (row) => sorted.rank(row);
    const rows = [...this.rows].sort((one, other) => {
      const [a, b] = [rank(one), rank(other)];
      if (a == null || b == null) return (a == null) - (b == null);
      return (a < b ? -1 : a > b ? 1 : 0) * (this.down ? -1 : 1);
    });
    this.columns.forEach((column, index) => {
      const head = this.heads[index];
      if (column === sorted) head.setAttribute("aria-sort", this.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    fill(this.body, rows.map((row) => make("tr", {
      "data-id": row.id, class: row.id === this.chosen ? "chosen" : null, tabindex: row.id === this.chosen ? -1 : null,
    }, ...this.columns.map((column) =>
      make("td", { class: column.number ? "number" : "" }, ...[column.show(row)].flat())))));
  }
}

const SEVERITY = ["suspect", "slow", "unmeasured", "well"];

const CONTACT_COLUMNS = [
  {
    name: "State",
    rank: (row) => SEVERITY.indexOf(row.health),
    show: (row) => [make("span", { class: `mark ${row.health}` }), HEALTH[row.health]],
  },
  { name: "Node ID", rank: (row) => row.id, show: (row) => make("code", { title: row.id }, `${row.id.slice(0, 16)}…`) },
  { name: "Address", rank: (row) => row.address, show: (row) => make("code", {}, row.address) },
  { name: "Bucket", number: true, rank: (row) => row.depth, show: (row) => String(row.depth) },
  { name: "Round trip", number: true, rank: (row) => row.rtt_ms, show: (row) => millis(row.rtt_ms) },
  { name: "Last seen", number: true, rank: (row) => row.seen_seconds_ago, show: (row) => span(row.seen_seconds_ago) },
  { name: "Connected", rank: (row) => (row.connected ? 0 : 1), show: (row) => (row.connected ? "yes" : "no") },
];

const NODE_COLUMNS = [
  { name: "Node", rank: (row) => row.index, show: (row) => make("a", { href: `/?node=${row.index}` }, row.label) },
  { name: "State", rank: (row) => row.state, show: (row) => [make("span", { class: `mark ${row.state}` }), row.state] },
  { name: "Node ID", rank: (row) => row.id, show: (row) => make("code", { title: row.id }, `${row.id.slice(0, 16)}…`) },
  { name: "Address", rank: (row) => row.address, show: (row) => make("code", {}, row.address) },
  { name: "Module API", rank: (row) => row.api_address, show: (row) => make("code", {}, row.api_address) },
  { name: "Contacts", number: true, rank: (row) => row.contacts, show: (row) => number(row.contacts) },
  { name: "Records", number: true, rank: (row) => row.records, show: (row) => number(row.records) },
  { name: "Connections", number: true, rank: (row) => row.connections, show: (row) => number(row.connections) },
  { name: "Round trip", number: true, rank: (row) => row.rtt_median_ms, show: (row) => millis(row.rtt_median_ms) },
];
