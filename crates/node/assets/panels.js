// Everything on the page that is words and numbers.

const FEELINGS = {
  joined: (contacts) => (contacts > 0 ? `Joined, with ${plural(contacts, "contact")}.` : "The first node of its network, waiting for others."),
  degraded: () => "Joined, and something is to be looked at.",
  joining: () => "Looking for its network.",
  isolated: () => "Cut off: no contact is left.",
  leaving: () => "Leaving: handing over what it holds.",
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
    figure("Contacts", number(table.contacts), table.rtt_median_ms == null ? "none measured" : `median ${millis(table.rtt_median_ms)}`),
    figure("Records", number(records.count), bytes(records.bytes)),
    figure("Connections", number(connections.open), `${plural(connections.api, "program")}`),
    figure("Operations", number(operations.running_count), `${plural(operations.requests_in_flight, "request")} in flight`));
}

function showRecords({ records, storage }) {
  const place = storage.directory == null ? "in memory alone" : storage.directory;
  fill(byId("stores"), make("dl", { class: "pairs" },
    ...pair("Records held", `${number(records.count)} of ${number(records.max_count)}`, meter(records.count, records.max_count)),
    ...pair("Memory for them", `${bytes(records.bytes)} of ${bytes(records.max_bytes)}`, meter(records.bytes, records.max_bytes)),
    ...pair("The next expires in", span(records.next_expiry_seconds)),
    ...pair("Kept", storage.failing ? make("span", { class: "alarm" }, "the disk refuses writes") : place)));
}

const LIMIT_NAMES = {
  api_connections: "Programs connected",
  bytes_per_peer: "Bytes stored by one peer",
  bytes_per_prefix: "Bytes stored by one network",
  connections: "Connections",
  connections_per_address: "Connections from one address",
  http_connections: "HTTP connections",
  max_bytes: "Bytes of records",
  max_operations: "Operations at once",
  max_records: "Records",
  max_unsynced: "Writes awaiting the disk",
  probes: "Probes at once",
  queued_bytes: "Bytes queued to be sent",
  records_per_peer: "Records stored by one peer",
  records_per_prefix: "Records stored by one network",
  requests_per_peer: "Requests of one peer",
  requests_per_prefix: "Requests of one network",
};

function showLimits({ limits }) {
  const shown = limits.filter((limit) => limit.limit != null || limit.reached > 0);
  fill(byId("limits"), make("dl", { class: "pairs" }, ...shown.flatMap((limit) => {
    const say = limit.name.includes("bytes") ? bytes : number;
    const reached = limit.reached > 0 && make("span", { class: "alarm" }, `reached ${number(limit.reached)}×`);
    const name = LIMIT_NAMES[limit.name] ?? limit.name;
    if (limit.limit == null) return pair(name, reached);
    const value = make("span", {}, `${say(limit.in_use)} of ${say(limit.limit)}`, reached ? " · " : "", reached || "");
    return pair(name, value, meter(limit.in_use, limit.limit));
  })));
}

function showPeers({ connections, trust }) {
  const bans = trust.bans.map((ban) => `${short(ban.id)} for ${span(ban.seconds_left)}`);
  fill(byId("peers"), make("dl", { class: "pairs" },
    ...pair("Open connections", number(connections.open)),
    ...pair("Handshakes as caller", `${number(connections.dialed)} · ${number(connections.dials_failed)} failed`),
    ...pair("Handshakes as called", `${number(connections.accepted)} · ${number(connections.handshakes_failed)} ended early`),
    ...pair("Rules broken by peers", number(trust.misbehaved)),
    ...(trust.pins == null ? [] : pair("Certificates pinned", number(trust.pins))),
    ...pair("Banned", bans.length > 0 ? bans.join(", ") : "nobody")));
}

function showEvents(events, taken, nodes) {
  const place = byId("events");
  if (events.length === 0) return fill(place, make("li", { class: "empty" }, "Nothing to tell."));
  fill(place, [...events].reverse().map((event) => {
    const ago = Math.max(0, (taken - event.at_ms) / 1000);
    const who = nodes ? `${nodes[event.node].label}: ` : "";
    const times = event.times > 1 ? ` ${number(event.times)}×` : "";
    return make("li", { class: event.warning ? "warning" : "" },
      make("time", { datetime: new Date(event.at_ms).toISOString() }, span(ago)),
      make("span", {}, who + event.text + times));
  }));
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
    fill(this.body, rows.map((row) => make("tr", { "data-id": row.id }, ...this.columns.map((column) =>
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
