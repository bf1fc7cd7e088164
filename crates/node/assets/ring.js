// The ring of IDs: a node's routing table as the XOR tree that it is, or all nodes of a network;
// and operations that cross it.
//
// Distances between neighbours shrink by half with each bit that they share, so a ring to scale
// would draw most of a routing table in one point. Each bucket therefore has as much of the ring
// as it has contacts. The order of IDs is kept, and so is the place within a bucket.

const TOP = -Math.PI / 2;
const TURN = 2 * Math.PI;
const HOLE = 62;
const EDGE = 292;
// From the leaves of the tree to the marks of records, and to the first row of contacts.
const TICK = [8, 15];
const ROOM = 30;
const NETWORK_RIM = 244;
const CHORD_PULL = 0.34;
// All steps of an operation are drawn within this time, in proportion to when they happened.
const FLIGHT_MS = 1500;
// So few dots have a word beside each; and no two words closer than this.
const LABELLED = 24;
const LABEL_ROOM = 15;
// Operations that cross a network's ring with each view: more are a tangle.
const FLIGHTS_PER_VIEW = 4;

class Ring {
  constructor(place) {
    this.place = place;
    this.layers = {};
    const names = ["tree", "keys", "dots", "flights", "centre"];
    for (const name of names) this.layers[name] = draw("g", { class: name, "aria-hidden": "true" });
    // The keyboard's place on the ring, and the one thing that a screen reader is told of it: the
    // dots may be a thousand.
    this.cursor = draw("circle", { class: "cursor", id: "ring-cursor", role: "option", "aria-selected": "true", visibility: "hidden" });
    this.svg = draw("svg", {
      viewBox: "-300 -300 600 600", role: "listbox", tabindex: 0, "aria-activedescendant": "ring-cursor",
    }, ...Object.values(this.layers), this.cursor);
    place.replaceChildren(this.svg);
    this.current = null;
    this.spots = [];
    this.onpick = null;
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerdown", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => hideTip());
    this.svg.addEventListener("click", (event) => {
      const spot = this.spotAt(event);
      if (spot && this.onpick) this.onpick(spot);
    });
    this.svg.addEventListener("keydown", (event) => this.press(event));
    this.svg.addEventListener("focus", () => this.svg.matches(":focus-visible") && this.moveTo(this.currentIndex()));
    this.svg.addEventListener("blur", () => this.leave());
  }

  // Arrows go from dot to dot in the order of IDs, pages ten at a time; Enter chooses, Escape hides.
  press(event) {
    const last = this.spots.length - 1;
    if (last < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    const index = this.currentIndex();
    const shown = this.cursor.getAttribute("visibility") === "visible";
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (step) this.moveTo(shown ? (index + step + this.spots.length * 10) % this.spots.length : index);
    else if (event.key === "Home") this.moveTo(0);
    else if (event.key === "End") this.moveTo(last);
    else if ((event.key === "Enter" || event.key === " ") && shown) this.onpick?.(this.ordered()[index]);
    else if (event.key === "Escape") this.leave();
    else return;
    event.preventDefault();
  }

  ordered() {
    return [...this.spots].sort((one, other) => (one.id < other.id ? -1 : 1));
  }

  // Where the cursor is in the order of IDs: at the dot that it was on, or at the one that follows it.
  currentIndex() {
    const index = this.ordered().findIndex((spot) => this.current == null || spot.id >= this.current);
    return Math.max(0, index);
  }

  moveTo(index) {
    const spot = this.ordered()[index];
    if (!spot) return;
    this.current = spot.id;
    this.showCursor(spot, index);
    const box = this.svg.getBoundingClientRect();
    const scale = box.width / 600;
    showTip(spot.tip(), box.left + (spot.x + 300) * scale, box.top + (spot.y + 300) * scale);
  }

  showCursor(spot, index) {
    const [id, lines] = spot.tip();
    const attributes = {
      cx: spot.x.toFixed(1), cy: spot.y.toFixed(1), r: 11, visibility: "visible", "data-id": spot.id,
      "aria-label": [id.slice(0, 16), ...lines].join(", "), "aria-posinset": index + 1, "aria-setsize": this.spots.length,
    };
    for (const [name, value] of Object.entries(attributes)) this.cursor.setAttribute(name, value);
  }

  // The dots have moved: so does the cursor, if it is shown.
  keepCursor() {
    if (this.cursor.getAttribute("visibility") !== "visible") return;
    const index = this.currentIndex();
    const spot = this.ordered()[index];
    if (!spot) return this.leave();
    this.current = spot.id;
    this.showCursor(spot, index);
  }

  leave() {
    this.cursor.setAttribute("visibility", "hidden");
    hideTip();
  }

  // Where an ID lies on the rim.
  angleOf(id) {
    return TOP + TURN * (fraction(id) - this.turn);
  }

  describe(text) {
    this.svg.setAttribute("aria-label", `${text} Arrow keys go from one to the next.`);
    this.keepCursor();
  }

  centre(count, ...lines) {
    // On a phone the drawing is small, and its words larger in it.
    const pitch = matchMedia("(max-width: 640px)").matches ? 24 : 17;
    const start = -4 - 0.5 * pitch * (lines.length - 1);
    fill(
      this.layers.centre,
      draw("circle", { class: "hub", r: HOLE }),
      draw("text", { class: "count", y: start + 4 }, number(count)),
      ...lines.map((line, index) => draw("text", { class: "under", y: start + 7 + pitch * (index + 1) }, line)),
    );
  }

  spotAt(event) {
    const box = this.svg.getBoundingClientRect();
    const scale = 600 / box.width;
    const x = (event.clientX - box.left) * scale - 300;
    const y = (event.clientY - box.top) * scale - 300;
    let best = null;
    let nearest = (event.pointerType === "touch" ? 26 : 13) * scale;
    for (const spot of this.spots) {
      const distance = Math.hypot(spot.x - x, spot.y - y);
      if (distance < nearest) {
        nearest = distance;
        best = spot;
      }
    }
    return best;
  }

  point(event) {
    const spot = this.spotAt(event);
    this.svg.style.cursor = spot && this.onpick ? "pointer" : "default";
    if (!spot) return hideTip();
    const box = this.svg.getBoundingClientRect();
    const scale = box.width / 600;
    showTip(spot.tip(), box.left + (spot.x + 300) * scale, box.top + (spot.y + 300) * scale);
  }

  // Draws an operation: from the place of the node that asks, over those that named others, to those asked.
  // Returns the group, for the caller to remove.
  flight(operation, start, rim, moves, colour) {
    const places = new Map(this.spots.map((spot) => [spot.id, [spot.x, spot.y]]));
    const placeOf = (id) => places.get(id) ?? polar(this.angleOf(id), rim);
    const last = Math.max(0.001, ...operation.steps.map((step) => step.asked_after_ms));
    const lines = [];
    const stops = [];
    for (const step of operation.steps) {
      const from = step.named_by ? placeOf(step.named_by) : start;
      const to = placeOf(step.id);
      const bend = point([(from[0] + to[0]) * CHORD_PULL, (from[1] + to[1]) * CHORD_PULL]);
      const failed = step.answer === "failed" || step.answer === "refused";
      const look = `${colour ?? `path-${step.path % 5}`}${failed ? " failed" : ""}`;
      const line = draw("path", {
        class: `flight ${look}${moves && !failed ? " draws" : ""}`,
        d: `M${point(from)}Q${bend} ${point(to)}`,
        pathLength: failed ? null : 1,
      });
      const stop = draw("circle", {
        class: `stop-dot ${look}${moves ? " draws" : ""}`, cx: to[0], cy: to[1],
        r: step.answer === "value" || step.answer === "stored" ? 5.6 : 3.8,
      });
      if (moves) {
        const delay = (step.asked_after_ms / last) * FLIGHT_MS;
        line.style.animationDelay = `${delay}ms`;
        stop.style.animationDelay = `${delay + 280}ms`;
      }
      lines.push(line);
      stops.push(stop);
    }
    const angle = this.angleOf(operation.key);
    const [x, y] = polar(angle, rim - 16);
    const goal = draw("path", { class: "goal", d: `M${x} ${y - 6}L${x + 5} ${y}L${x} ${y + 6}L${x - 5} ${y}Z` });
    const group = draw("g", {}, ...lines, ...stops, goal);
    this.layers.flights.append(group);
    return group;
  }
}

// One node and its contacts.
class TableRing extends Ring {
  constructor(place) {
    super(place);
    this.leaves = [];
    this.chosen = null;
  }

  angleOf(id) {
    const { leaves } = this;
    if (leaves.length === 0) return TOP;
    let low = 0;
    let high = leaves.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (leaves[middle].prefix <= id) low = middle;
      else high = middle;
    }
    const leaf = leaves[low];
    return leaf.from + (leaf.to - leaf.from) * fractionWithin(id, leaf.depth);
  }

  update(view) {
    const { table, node, records } = view;
    this.own = node.id;
    // Many contacts need several rows, and so a smaller tree.
    this.leaf = table.contacts <= LABELLED ? 212 : table.contacts <= 40 ? 228 : table.contacts <= 160 ? 216 : table.contacts <= 400 ? 200 : 184;
    this.rim = this.leaf + ROOM;
    this.lay(table.buckets);
    this.drawTree();
    this.drawKeys(records.sample);
    this.drawContacts(table);
    this.centre(table.contacts, table.contacts === 1 ? "contact" : "contacts", `in ${plural(table.buckets.length, "bucket")}`);
    this.describe(
      `Routing table: ${plural(table.contacts, "contact")} in ${plural(table.buckets.length, "bucket")}, ` +
      `${table.suspects} of them suspect. The table at the end of the page lists them.`,
    );
  }

  // Gives every bucket its part of the ring, and turns the ring so that this node is at its top.
  lay(buckets) {
    const gap = buckets.length > 1 ? Math.min(0.035, 1.1 / buckets.length) : 0;
    const weights = buckets.map((bucket) => bucket.size + 2.5);
    const whole = weights.reduce((sum, weight) => sum + weight, 0);
    const scale = (TURN - gap * buckets.length) / whole;
    let angle = 0;
    this.leaves = buckets.map((bucket, index) => {
      const from = angle;
      angle += weights[index] * scale;
      const leaf = { ...bucket, from, to: angle };
      angle += gap;
      return leaf;
    });
    const shift = TOP - this.angleOf(this.own);
    for (const leaf of this.leaves) {
      leaf.from += shift;
      leaf.to += shift;
    }
  }

  drawTree() {
    const { leaves } = this;
    const deepest = Math.max(1, ...leaves.map((leaf) => leaf.depth));
    const radiusAt = (depth) => HOLE + (this.leaf - HOLE - 8) * (depth / deepest) ** 0.8;
    const parts = [];
    const owns = [];
    // The buckets in their order are the leaves of a binary tree; a split lies where the next bit
    // of their prefixes turns from 0 to 1.
    const grow = (low, high, depth) => {
      if (high - low === 1) {
        const leaf = leaves[low];
        return { angle: (leaf.from + leaf.to) / 2, own: leaf.own, reach: this.leaf };
      }
      let cut = low;
      while (cut < high && bitAt(leaves[cut].prefix, depth) === 0) cut += 1;
      if (cut === low || cut === high) return grow(low, high, depth + 1);
      const children = [grow(low, cut, depth + 1), grow(cut, high, depth + 1)];
      const radius = radiusAt(depth);
      for (const child of children) {
        const line = `M${point(polar(child.angle, radius))}L${point(polar(child.angle, child.reach))}`;
        (child.own ? owns : parts).push(draw("path", { class: `branch${child.own ? " own" : ""}`, d: line }));
      }
      const [first, second] = children;
      if (depth > 0) parts.push(draw("path", { class: "branch", d: arc(radius, first.angle, second.angle) }));
      const angle = (first.angle + second.angle) / 2;
      const own = children.find((child) => child.own);
      if (own && depth > 0) {
        const [from, to] = [angle, own.angle].sort((a, b) => a - b);
        owns.push(draw("path", { class: "branch own", d: arc(radius, from, to) }));
      }
      return { angle, own: Boolean(own), reach: radius };
    };
    if (leaves.length > 1) grow(0, leaves.length, 0);
    for (const leaf of leaves) {
      const line = { class: `leaf${leaf.own ? " own" : ""}`, d: arc(this.leaf, leaf.from, leaf.to) };
      (leaf.own ? owns : parts).push(draw("path", line));
    }
    const [x, y] = this.start();
    owns.push(draw("circle", { class: "self", cx: x, cy: y, r: 6.5 }), draw("circle", { class: "self-core", cx: x, cy: y, r: 2.6 }));
    fill(this.layers.tree, ...parts, ...owns);
  }

  drawKeys(sample) {
    fill(this.layers.keys, ...sample.map((record) => {
      const angle = this.angleOf(record.key);
      const [from, to] = TICK.map((above) => point(polar(angle, this.leaf + above)));
      return draw("path", { class: `key-tick${record.cached ? " cached" : ""}`, d: `M${from}L${to}` });
    }));
  }

  // Each contact at its own place on the rim, moved outward as far as it must be to be seen.
  drawContacts(table) {
    const count = table.contacts;
    const radius = count <= 24 ? 6.5 : count <= 80 ? 5.2 : count <= 240 ? 4.1 : count <= 600 ? 3.3 : 2.7;
    const step = 2 * radius + Math.max(1.2, radius * 0.45);
    const rows = Math.max(1, Math.floor((EDGE - this.rim) / step) + 1);
    const ends = new Array(rows).fill(-Infinity);
    const twigs = [];
    const spots = [];
    for (const leaf of this.leaves) {
      const placed = [...leaf.contacts].sort((a, b) => (a.id < b.id ? -1 : 1));
      const inset = Math.min(step / this.rim / 2, (leaf.to - leaf.from) / 4);
      for (const contact of placed) {
        const part = fractionWithin(contact.id, leaf.depth);
        const wanted = leaf.from + inset + (leaf.to - leaf.from - 2 * inset) * part;
        let row = ends.findIndex((end, index) => end + step / (this.rim + index * step) <= wanted);
        if (row < 0) row = ends.indexOf(Math.min(...ends));
        const distance = this.rim + row * step;
        const angle = Math.max(wanted, ends[row] + (0.6 * step) / distance);
        ends[row] = angle;
        const [x, y] = polar(angle, distance);
        if (count <= 160) {
          const foot = polar(angle, this.leaf + 2);
          twigs.push(draw("path", { class: "twig", d: `M${point(foot)}L${point([x, y])}` }));
        }
        spots.push({ id: contact.id, x, y, contact, health: healthOf(contact, table.rtt_median_ms), bucket: leaf });
      }
    }
    const words = count > LABELLED ? [] : labels(spots, 16, (spot) => spot.contact.rtt_ms == null ? null : millis(spot.contact.rtt_ms));
    for (const spot of spots) spot.tip = () => contactTip(spot);
    this.spots = spots;
    fill(this.layers.dots, ...twigs, ...words, ...spots.map((spot) => draw("circle", {
      class: `dot ${spot.health}${spot.id === this.chosen ? " chosen" : ""}`,
      "data-id": spot.id, cx: spot.x.toFixed(1), cy: spot.y.toFixed(1), r: radius,
    })));
  }

  // Where this node is.
  start() {
    return polar(this.angleOf(this.own), this.leaf);
  }

  // Shows one operation: for as long as it is the chosen one, or in passing; or none.
  show(operation, moves, stays) {
    this.layers.flights.replaceChildren();
    const shown = Boolean(operation && operation.steps.length > 0);
    this.svg.classList.toggle("with-flight", shown && stays);
    if (!shown) return;
    const group = this.flight(operation, this.start(), this.rim, moves);
    if (!stays) group.classList.add("fleeting");
    const asked = new Set(operation.steps.map((step) => step.id));
    for (const dot of this.layers.dots.querySelectorAll(".dot")) {
      dot.classList.toggle("on-way", asked.has(dot.dataset.id));
    }
  }
}

// All nodes of a network, each at its own place, to scale: IDs are spread evenly.
class NetworkRing extends Ring {
  constructor(place) {
    super(place);
    this.turn = 0;
  }

  update(view) {
    const { nodes } = view;
    const most = Math.max(1, ...nodes.map((node) => node.records));
    const count = nodes.length;
    const radius = count <= 24 ? 7 : count <= 80 ? 5.2 : count <= 240 ? 3.8 : count <= 600 ? 2.8 : 2;
    const bars = [];
    this.spots = nodes.map((node, index) => {
      const angle = this.angleOf(node.id);
      const [x, y] = polar(angle, NETWORK_RIM);
      if (node.records > 0) {
        const foot = polar(angle, NETWORK_RIM + radius + 3);
        const tip = polar(angle, NETWORK_RIM + radius + 3 + 36 * (node.records / most));
        bars.push(draw("path", {
          class: "held", d: `M${point(foot)}L${point(tip)}`, "stroke-width": Math.min(3, radius * 0.8),
        }));
      }
      return { id: node.id, x, y, node, index, tip: () => nodeTip(node) };
    });
    fill(this.layers.tree, draw("circle", { class: "leaf", r: NETWORK_RIM }));
    const words = count > LABELLED ? [] : labels(this.spots, -16, (spot) => String(spot.index));
    fill(this.layers.dots, ...bars, ...words, ...this.spots.map(({ id, x, y, node }) => draw("circle", {
      class: `dot ${node.state}`, "data-id": id, cx: x.toFixed(1), cy: y.toFixed(1), r: radius,
    })));
    const joined = nodes.filter((node) => node.state === "joined" || node.state === "degraded").length;
    this.centre(count, count === 1 ? "node" : "nodes", joined === count ? "all joined" : `${joined} joined`);
    this.describe(`Network of ${plural(count, "node")}, ${joined} of them joined. The table at the end of the page lists them.`);
  }

  // Lets operations cross the ring and fade, spread over the time until the next ones come.
  play(operations) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const drawn = operations.filter((one) => one.steps.length > 0).slice(-FLIGHTS_PER_VIEW);
    drawn.forEach((operation, index) => {
      setTimeout(() => {
        const origin = this.spots[operation.node];
        if (!origin || this.held) return;
        const colour = operation.purpose !== "command" ? "own-lookup" : operation.kind === "put" ? "path-1" : "path-0";
        const group = this.flight(operation, [origin.x, origin.y], NETWORK_RIM, !still, colour);
        group.classList.add("fleeting");
        setTimeout(() => group.remove(), 3400);
      }, (index / drawn.length) * 1000);
    });
  }

  // Holds one operation, or lets the ring go on.
  show(operation, moves) {
    this.layers.flights.replaceChildren();
    this.held = Boolean(operation && operation.steps.length > 0);
    this.svg.classList.toggle("with-flight", this.held);
    if (!this.held) return;
    const origin = this.spots[operation.node];
    this.flight(operation, origin ? [origin.x, origin.y] : [0, 0], NETWORK_RIM, moves);
    const asked = new Set(operation.steps.map((step) => step.id));
    if (origin) asked.add(origin.id);
    for (const dot of this.layers.dots.querySelectorAll(".dot")) {
      dot.classList.toggle("on-way", asked.has(dot.dataset.id));
    }
  }
}

// A word beside each of a few dots, farther out or farther in, where there is room for it.
function labels(spots, away, say) {
  const placed = [];
  for (const spot of spots) {
    const word = say(spot);
    const distance = Math.hypot(spot.x, spot.y);
    const [x, y] = [spot.x, spot.y].map((part) => (part / distance) * (distance + away));
    if (word == null || placed.some((one) => Math.hypot(one.x - x, (one.y - y) * 1.6) < LABEL_ROOM * 1.6)) continue;
    const side = (spot.x / distance) * Math.sign(away);
    const anchor = side > 0.35 ? "start" : side < -0.35 ? "end" : "middle";
    placed.push({ x, y, text: draw("text", { class: "word", x: x.toFixed(1), y: (y + 4).toFixed(1), "text-anchor": anchor }, word) });
  }
  return placed.map((one) => one.text);
}

// What is said of the thing under the pointer.

function contactTip({ contact, health, bucket }) {
  const lines = [contact.address];
  if (contact.rtt_ms != null) lines.push(`answers in ${millis(contact.rtt_ms)} ± ${millis(contact.rtt_deviation_ms)}`);
  if (health !== "well") lines.push(HEALTH[health] + (contact.failures > 0 ? ` ${contact.failures}×` : ""));
  lines.push(`last seen ${span(contact.seen_seconds_ago)} ago · bucket of depth ${bucket.depth}`);
  return [contact.id, lines];
}

function nodeTip(node) {
  return [node.id, [
    `${node.label} · ${node.address}`,
    `${plural(node.contacts, "contact")} · ${plural(node.records, "record")}, ${bytes(node.record_bytes)}`,
    `${plural(node.connections, "connection")} · ${node.state}`,
  ]];
}

function showTip([title, lines], x, y) {
  const tip = byId("tip");
  tip.replaceChildren(make("b", {}, `${title.slice(0, 16)}…`), ...lines.flatMap((line, index) => (index ? [make("br"), line] : [line])));
  tip.hidden = false;
  const width = tip.offsetWidth;
  const left = Math.min(Math.max(8, x - width / 2), document.documentElement.clientWidth - width - 8);
  const above = y - tip.offsetHeight - 14;
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${(above < 4 ? y + 16 : above) + scrollY}px`;
}

function hideTip() {
  byId("tip").hidden = true;
}
