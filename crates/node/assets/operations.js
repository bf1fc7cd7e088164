// Operations as they run and as they ended, and one of them hop by hop.

// Finished operations that the page remembers, those of users and the node's own apart: the latter may
// be many. All can be filtered; so many rows are drawn.
const MOST_REMEMBERED = { command: 500, own: 100 };
const MOST_LISTED = 60;
// A new operation takes the place of the one that is shown no sooner than this.
const SHOWN_AT_LEAST_MS = 3000;

const RESULTS = {
  running: "under way",
  found: "found",
  missing: "not found",
  stored: "stored",
  failed: "not stored",
  busy: "refused",
  done: "done",
};
const OUTCOMES = {
  running: "running",
  found: "success",
  stored: "success",
  done: "success",
  missing: "failure",
  failed: "failure",
  busy: "failure",
};
const PURPOSES = { join: "joining", refresh: "refresh", upkeep: "upkeep" };

class Operations {
  constructor(ring) {
    this.ring = ring;
    this.finished = [];
    this.running = [];
    this.shown = null;
    this.shownAt = 0;
    // Whether the person chose the one that is shown: then it stays.
    this.chosen = false;
    byId("explain").addEventListener("submit", (event) => {
      event.preventDefault();
      this.explain(byId("key").value.trim());
    });
    byId("filter").addEventListener("input", () => this.list());
    byId("filter").addEventListener("submit", (event) => event.preventDefault());
    const linked = new URLSearchParams(location.search).get("key");
    if (linked) {
      byId("key").value = linked;
      this.explain(linked);
    }
  }

  // Whether the filter lets an operation through.
  passes(operation) {
    const kind = byId("filter-kind").value;
    const outcome = byId("filter-outcome").value;
    const own = operation.purpose !== "command";
    if (kind === "own" ? !own : kind && (own || (operation.kind === "lookup" ? "find" : operation.kind) !== kind)) return false;
    if (outcome && OUTCOMES[operation.result] !== outcome) return false;
    return operation.key.startsWith(byId("filter-key").value.trim().toLowerCase());
  }

  update(running, finished, nodes) {
    this.nodes = nodes;
    this.running = running;
    this.add(finished);
    this.list();
    this.follow();
  }

  add(finished) {
    const known = new Set(this.finished.map(nameOf));
    const fresh = finished.filter((one) => !known.has(nameOf(one)));
    const all = [...this.finished, ...fresh];
    const users = all.filter((one) => one.purpose === "command").slice(-MOST_REMEMBERED.command);
    const own = all.filter((one) => one.purpose !== "command").slice(-MOST_REMEMBERED.own);
    const kept = new Set([...users, ...own]);
    this.finished = all.filter((one) => kept.has(one));
  }

  // Shows the latest operation of which the steps are known, unless somebody chose another.
  follow() {
    if (this.chosen) return;
    const traced = (one) => one.steps.length > 0;
    const latest = this.finished.findLast((one) => traced(one) && one.purpose === "command") ??
      this.finished.findLast(traced);
    const due = performance.now() - this.shownAt > SHOWN_AT_LEAST_MS;
    if (latest && (!this.shown || due) && nameOf(latest) !== this.shownName) this.show(latest);
    else if (!latest && !this.shown) fill(byId("operation"), make("p", { class: "empty" }, "Nothing to show yet. Look up a key to see how this node finds it."));
  }

  choose(operation) {
    this.chosen = true;
    this.show(operation);
    this.list();
  }

  show(operation) {
    this.shown = operation;
    this.shownName = nameOf(operation);
    this.shownAt = performance.now();
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    // A network goes on by itself; one operation stands still in it only when it was chosen.
    if (!this.nodes || this.chosen) this.ring.show(operation, !still, this.chosen);
    fill(byId("operation"), ...this.describe(operation));
    this.list();
  }

  letGo() {
    this.chosen = false;
    this.ring.show(null);
    this.shown = null;
    this.shownName = null;
    this.follow();
    this.list();
  }

  list() {
    const all = [...this.running.map((one) => [one, true]), ...[...this.finished].reverse().map((one) => [one, false])];
    const rows = all.filter(([operation]) => this.passes(operation));
    const place = byId("operations");
    byId("filter-count").value = rows.length === all.length ? "" : `${number(rows.length)} of ${number(all.length)}`;
    if (rows.length === 0) {
      return fill(place, make("li", { class: "empty" }, all.length > 0 ? "No operation passes the filter." : "No operation yet."));
    }
    const nodes = rows.slice(0, MOST_LISTED).map(([operation, runs]) => {
      const current = this.shownName === nameOf(operation) && !runs;
      const name = operation.purpose === "command" ? operation.kind.toUpperCase() : operation.kind;
      const button = make("button", {
        type: "button", "aria-current": current ? "true" : null, "data-operation": nameOf(operation),
        class: operation.purpose === "command" ? "" : "own",
      },
      make("span", { class: "kind" }, name === "LOOKUP" ? "find" : name === "lookup" ? "find" : name),
      make("span", { class: "key" }, operation.key.slice(0, 16)),
      make("span", { class: operation.result }, this.outcome(operation)),
      make("span", { class: "took" }, millis(operation.took_ms)));
      return make("li", {}, button);
    });
    const scrolled = place.scrollTop;
    fill(place, ...nodes);
    place.scrollTop = scrolled;
    if (place.listens) return;
    place.listens = true;
    place.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const wanted = button.dataset.operation;
      if (this.chosen && wanted === this.shownName) return this.letGo();
      const operation = [...this.running, ...this.finished].find((one) => nameOf(one) === wanted);
      if (operation) this.choose(operation);
    });
  }

  outcome(operation) {
    const { result, purpose, nodes } = operation;
    if (result === "stored") return `on ${plural(nodes, "node")}`;
    if (result === "done") return PURPOSES[purpose] ?? plural(nodes, "node");
    return RESULTS[result];
  }

  describe(operation) {
    const { kind, result, purpose, nodes, value_bytes: size } = operation;
    let title = `${kind.toUpperCase()}: ${RESULTS[result]}`;
    if (kind === "lookup") title = purpose === "command" ? `Lookup: ${plural(nodes ?? 0, "node")}` : `The node's own lookup, for ${purpose}`;
    if (result === "stored") title = `PUT: stored on ${plural(nodes, "node")}`;
    if (size != null) title += `, ${bytes(size)}`;
    const sum = [`${millis(operation.took_ms)}`, `${operation.asked} asked`, `${operation.answered} answered`];
    if (operation.refused > 0) sum.push(`${operation.refused} refused`);
    if (operation.failed > 0) sum.push(`${operation.failed} failed`);
    if (operation.hops > 0) sum.push(plural(operation.hops, "hop"));
    const by = this.nodes && operation.node != null ? ` asked by ${this.nodes[operation.node].label}` : "";
    const head = [
      make("h4", {}, title),
      make("p", { class: "key" }, keyLink(operation.key, operation.key), by),
      make("p", { class: "sum" }, sum.join(" · ")),
      verdict(operation) && make("p", { class: "verdict" }, verdict(operation)),
    ];
    if (operation.steps.length === 0) {
      const why = operation.asked === 0 ? "Nobody had to be asked." : "Nobody was watching when it began, so its steps were not noted.";
      return [...head, make("p", { class: "empty" }, why)];
    }
    const whole = Math.max(operation.took_ms, ...operation.steps.map((step) => step.asked_after_ms + (step.took_ms ?? 0)), 0.01);
    const rows = operation.steps.map((step) => stepRow(step, whole, operation.key));
    const rest = operation.asked - operation.steps.length;
    return [
      ...head,
      make("p", { class: "columns" }, make("span", {}, "path"), make("span", {}, "node", make("small", {}, ", and who named it")), make("span", { title: "bits that its ID shares with the key" }, "near"), make("span", {}, "when"), make("span", {}, "answer")),
      make("ol", { class: "steps" }, ...rows),
      rest > 0 && make("p", { class: "empty" }, `and ${rest} more`),
      make("p", { class: "ruler" }, make("span", {}, "0"), make("span", {}, millis(whole))),
    ];
  }

  async explain(text) {
    if (!text) return;
    const button = byId("explain").querySelector("button");
    button.disabled = true;
    remember({ key: text });
    try {
      const response = await fetch(withNode("/explain", /^[0-9a-f]{64}$/i.test(text) ? { key: text } : { text }));
      if (!response.ok) throw new Error((await response.text()).trim());
      const operation = { ...await response.json(), number: `asked-${performance.now()}`, node: this.nodes ? 0 : undefined };
      this.explained = operation;
      this.add([operation]);
      this.choose(operation);
    } catch (error) {
      fill(byId("operation"), make("p", { class: "alarm" }, error.message));
    } finally {
      button.disabled = false;
    }
  }
}

function nameOf(operation) {
  if (operation.result === "running") return `running ${operation.node ?? ""} ${operation.key} ${operation.started_at_ms}`;
  return `${operation.node ?? ""} ${operation.number}`;
}

// Why a GET's value is believed.
function verdict({ kind, result, agreeing, dissenting, proves_itself: proved, signed, steps }) {
  if (kind !== "get" || result === "running") return "";
  if (result !== "found") return "No node that answered has a value.";
  if (signed) {
    const { owner, generation, seq, withdrawal, replicas, older } = signed;
    const under = generation === 0 ? "" : `generation ${generation}, `;
    return `It is ${withdrawal ? "withdrawn" : "signed"} by ${owner}, with ${under}sequence number ${seq}: ${plural(replicas, "replica")} had it, and ${older} an older one.`;
  }
  if (proved) return "The key is the hash of the value: it proves itself, without a vote.";
  if (agreeing === 0) return "It is what this node itself has published.";
  const asked = steps.filter((step) => step.answer === "value").length;
  const self = steps.length > 0 && agreeing > asked ? ", the asking node among them," : "";
  if (dissenting === 0) return `${plural(agreeing, "replica")}${self} ${agreeing === 1 ? "names" : "name"} this value, and none another.`;
  return `The vote went ${agreeing} to ${dissenting}: the replicas differ, so all of the closest were asked.`;
}

function stepRow(step, whole, key) {
  const bar = make("i", { class: step.answer });
  const took = step.took_ms ?? Math.max(0, whole - step.asked_after_ms);
  bar.style.left = `${(100 * step.asked_after_ms) / whole}%`;
  bar.style.width = `${Math.min(100 - (100 * step.asked_after_ms) / whole, (100 * took) / whole)}%`;
  const said = {
    pending: "not awaited",
    nodes: plural(step.nodes ?? 0, "node"),
    value: "the value",
    other_value: "another value",
    stored: "stored",
    delivered: "handed over",
    refused: "refused",
    failed: "no answer",
  }[step.answer];
  const named = step.named_by ? `named by ${short(step.named_by)}` : "from the routing table";
  const bits = sharedBits(step.id, key);
  const near = `shares ${plural(bits, "bit")} with the key`;
  return make("li", { class: step.answer, title: `${step.id}\n${step.address}\n${named}\n${near}` },
    make("span", { class: `chip path-${step.path % 5}`, title: `path ${step.path + 1}` }, String(step.path + 1)),
    make("span", { class: "whom" }, make("code", {}, short(step.id)), " ", make("small", {}, step.named_by ? `← ${short(step.named_by)}` : "known")),
    make("span", { class: "bits", title: near }, String(bits)),
    make("span", { class: "track" }, bar),
    make("span", { class: "answer" }, step.answer === "pending" ? said : `${said} · ${millis(step.took_ms)}`));
}
