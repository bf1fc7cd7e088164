// The stream of views, and what each of them changes.

const source = withNode("/events");
// The stream sends a view every second; after this long without one it is dead.
const SILENCE_MS = 6000;

const TABLE_NOTE = "The tree of all IDs as this node knows it. Each piece of the ring is a bucket: IDs that " +
  "begin alike. Towards this node the pieces stand for ever smaller parts.";
const NETWORK_NOTE = "Each node at the place of its ID. Lines are operations as they run: from the node that asks, " +
  "over those that name others, to the nodes around the key \u25c6.";

let ring = null;
let charts = null;
let operations = null;
let table = null;
let lastView = 0;
let lastViewAt = null;

function begin(view) {
  const network = view.kind === "network";
  document.body.classList.toggle("network", network);
  ring = network ? new NetworkRing(byId("map")) : new TableRing(byId("map"));
  charts = new Charts(byId("charts"));
  operations = new Operations(ring);
  byId("map-title").textContent = network ? "The ring of node IDs" : "Routing table";
  byId("table-title").textContent = network ? "Nodes" : "Contacts";
  byId("map-note").textContent = network ? NETWORK_NOTE : TABLE_NOTE;
  byId("examine").addEventListener("click", examine);
  table = network ? new Table(NODE_COLUMNS, "Node") : new Table(CONTACT_COLUMNS, "Round trip");
  ring.onpick = network ? (spot) => location.assign(`/?node=${spot.index}`) : (spot) => table.reveal(spot.id);
  if (!view.history) byId("charts").closest(".card").hidden = true;
  byId("main").hidden = false;
}

// Contacts are not sent with every view where they are many: those of before stay.
function withContacts(view, before) {
  if (!before) return;
  const known = new Map(before.table.buckets.map((bucket) => [`${bucket.prefix} ${bucket.depth}`, bucket]));
  for (const bucket of view.table.buckets) {
    if (bucket.contacts.length > 0 || bucket.size === 0) continue;
    bucket.contacts = known.get(`${bucket.prefix} ${bucket.depth}`)?.contacts ?? [];
  }
  if (view.table.changes.length === 0) view.table.changes = before.table.changes;
  if (view.records.sample.length === 0 && view.records.count > 0) view.records.sample = before.records.sample;
}

let previous = null;

function showNode(view) {
  withContacts(view, previous);
  previous = view;
  const { node, table: known } = view;
  const label = view.label ? `${view.label}, ` : "";
  status.name = `${label}${short(node.id)} · voiddht`;
  status.state = view.health.state;
  fill(byId("who"),
    view.nodes > 1 && make("a", { href: "/" }, `all ${view.nodes} nodes`), view.nodes > 1 && " · ",
    make("b", { class: "mono", title: node.id }, `${label}${node.id.slice(0, 16)}`),
    ` · peers at ${node.p2p_address} · programs at ${node.api_address} · up ${span(node.uptime_seconds)}`);
  showState(view.health, known.contacts);
  showFigures(view);
  ring.update(view);
  const health = known.buckets.flatMap((bucket) => bucket.contacts.map((contact) => healthOf(contact, known.rtt_median_ms)));
  const count = (name) => health.filter((one) => one === name).length;
  const many = (name, text) => count(name) > 0 && [name, `${number(count(name))} ${text}`];
  showRtts(known);
  showLegend([
    ["self", "this node"], many("well", "answer"), many("slow", "slow"), many("unmeasured", "not measured"),
    many("suspect", "did not answer"), view.records.sample.length > 0 && ["key-tick", "record held"],
  ]);
  showRecords(view);
  showLimits(view);
  showPeers(view);
  showEvents(view.events, view.taken_at_ms);
  showChanges(known.changes, view.taken_at_ms);
  table.update(known.buckets.flatMap((bucket) => bucket.contacts.map((contact) => ({
    ...contact, depth: bucket.depth, health: healthOf(contact, known.rtt_median_ms),
  }))));
  operations.update(view.operations.running, view.operations.finished, null);
  byId("foot").textContent =
    `voiddht ${node.version} · ${node.policy} · k ${node.k}, α ${node.alpha}, ${plural(node.disjoint_paths, "path")}, quorum ${node.vote_quorum} · metrics at /metrics`;
}

function showNetwork(view) {
  const { nodes } = view;
  status.name = `${plural(nodes.length, "node")} · voiddht`;
  fill(byId("who"), `a network of ${plural(nodes.length, "node")} in one process`);
  const well = nodes.filter((node) => node.state === "joined").length;
  const silent = nodes.filter((node) => node.state === "silent").length;
  const lost = nodes.filter((node) => node.state === "isolated").length;
  const state = silent + lost > 0 ? "isolated" : well === nodes.length ? "joined" : "joining";
  status.state = state;
  byId("lamp").className = `lamp ${state}`;
  byId("feeling").textContent = well === nodes.length ? `All ${nodes.length} nodes have joined.` : `${well} of ${nodes.length} nodes have joined.`;
  const reasons = [];
  if (silent > 0) reasons.push(`${plural(silent, "node")} do not answer.`);
  if (lost > 0) reasons.push(`${plural(lost, "node")} have no contact left.`);
  fill(byId("reasons"), reasons.map((text) => make("li", {}, text)));
  const sum = (read) => nodes.reduce((total, node) => total + read(node), 0);
  const contacts = sum((node) => node.contacts) / Math.max(1, nodes.length);
  fill(byId("figures"),
    figure("Contacts of each", contacts.toFixed(contacts < 10 ? 1 : 0), "on average"),
    figure("Records, all copies", number(sum((node) => node.records)), bytes(sum((node) => node.record_bytes))),
    figure("Connections", number(Math.round(sum((node) => node.connections) / 2)), "each between two"),
    figure("Operations", number(sum((node) => node.operations)), "in progress"));
  ring.update(view);
  const others = ["degraded", "joining", "isolated", "leaving", "silent"].filter((one) => nodes.some((node) => node.state === one));
  showLegend([
    ["joined", "joined"], ...others.map((one) => [one, one]), nodes.some((node) => node.records > 0) && ["held", "records held"],
    ["line path-0", "GET"], ["line path-1", "PUT"], ["line own-lookup", "a node's own lookup"],
  ]);
  const rows = nodes.map((node, index) => ({ ...node, index }));
  table.update(rows);
  showEvents(view.events, view.taken_at_ms, nodes);
  operations.update([], view.operations, nodes);
  if (lastView > 0) ring.play(view.operations);
  byId("foot").textContent = "Choose a node on the ring or in the table to see it alone. Metrics of all at /metrics.";
}

// What the browser's tab says: the state of what is shown, or that it is stale. Healthy is unmarked.
const TAB = {
  joined: ["", "#0d8578"],
  degraded: ["! degraded", "#b7791f"],
  joining: ["… joining", "#b7791f"],
  isolated: ["✗ isolated", "#c2412d"],
  leaving: ["leaving", "#6b737c"],
  stale: ["✗ no data", "#6b737c"],
};
const status = { name: "voiddht", state: "joining", stale: false };

function showTab() {
  const [word, colour] = TAB[status.stale ? "stale" : status.state];
  const title = word ? `${word} · ${status.name}` : status.name;
  if (document.title !== title) document.title = title;
  // Filled for what needs a look, a ring for what does not: told apart without colours too.
  const fill = word ? colour : "none";
  const icon = `data:image/svg+xml,${encodeURIComponent(
    `<svg xmlns='${SVG}' viewBox='0 0 16 16'><circle cx='8' cy='8' r='6' fill='${fill}' stroke='${colour}' stroke-width='1.6'/>` +
    `<circle cx='8' cy='2' r='2' fill='${colour}'/></svg>`)}`;
  if (byId("icon").getAttribute("href") !== icon) byId("icon").setAttribute("href", icon);
}

function alive(is, text) {
  const live = byId("live");
  live.className = is ? "live on" : "live off";
  if (live.textContent !== text) live.textContent = text;
  if (is) {
    status.stale = false;
    showStale();
  }
}

// Old figures are dimmed, and the page says since when it has had no others.
function showStale() {
  document.body.classList.toggle("is-stale", status.stale);
  const notice = byId("stale");
  notice.hidden = !status.stale || lastView === 0;
  const text = notice.hidden ? "" : `Not updated since ${lastViewAt.toLocaleTimeString()}: ${byId("live").textContent}.`;
  if (notice.textContent !== text) notice.textContent = text;
  showTab();
}

function listen() {
  const stream = new EventSource(source);
  stream.addEventListener("message", (event) => {
    const view = JSON.parse(event.data);
    if (!ring) begin(view);
    if (view.kind === "network") showNetwork(view);
    else showNode(view);
    if (view.history) charts.update(view.history);
    lastView = performance.now();
    lastViewAt = new Date();
    document.body.dataset.views = String(Number(document.body.dataset.views ?? 0) + 1);
    alive(true, "live");
  });
  stream.addEventListener("error", () => {
    alive(false, ring ? "no connection with the node" : "cannot reach the node");
    status.stale = true;
    showStale();
    // The browser comes again by itself, unless it was refused.
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
  });
}

setInterval(() => {
  if (lastView === 0) return;
  if (!status.stale && performance.now() - lastView > SILENCE_MS) {
    alive(false, "no news from the node");
    status.stale = true;
    showStale();
  }
}, 1000);

listen();
