// Helpers that everything else stands on: elements, words for numbers, and places in the ID space.

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

// An element with these properties and children. Text goes in as text, never as markup.
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null && child !== false));
  return element;
}

function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// Replaces an element's children, unless they would say the same: a list that is being read, or
// of which something is selected, is left alone.
function fill(element, ...children) {
  const next = children.flat().filter((child) => child != null && child !== false);
  const text = next.map((child) => (child.outerHTML ?? child)).join("");
  if (element.filledWith === text) return;
  element.filledWith = text;
  element.replaceChildren(...next);
}

// Addresses of this page and of what it fetches.

// Which node is looked at, where a process runs several.
const wantedNode = new URLSearchParams(location.search).get("node");

// A path with these parameters, and with the node that is looked at.
function withNode(path, parameters = {}) {
  const query = new URLSearchParams(parameters);
  if (wantedNode != null) query.set("node", wantedNode);
  return query.size > 0 ? `${path}?${query}` : path;
}

// Sets or, with null, removes parameters of the page's address without loading it anew, so that
// the address can be passed on.
function remember(parameters) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(parameters)) {
    if (value == null) query.delete(name);
    else query.set(name, value);
  }
  history.replaceState(null, "", query.size > 0 ? `/?${query}` : "/");
}

// A link that looks a key up.
const keyLink = (key, text) => make("a", { href: withNode("/", { key }), title: `look up ${key}` }, text);

// Words for numbers.

const number = (value) => value.toLocaleString("en-US");

function plural(count, word) {
  return `${number(count)} ${word}${count === 1 ? "" : "s"}`;
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

function millis(value) {
  if (value == null) return "–";
  if (value < 0.995) return `${value.toFixed(2)} ms`;
  if (value < 9.95) return `${value.toFixed(1)} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  return `${(value / 1000).toFixed(1)} s`;
}

function span(seconds) {
  if (seconds == null) return "–";
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

function rate(value) {
  if (value == null) return "–";
  if (value === 0) return "0";
  if (value < 9.95) return value.toFixed(1);
  return number(Math.round(value));
}

// To two digits: what is estimated is not known better.
function rounded(value) {
  const power = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, value))) - 1);
  return Math.round(value / power) * power;
}

const short = (id) => id.slice(0, 8);

// Places in the ID space.

// Where an ID lies in the whole space, from 0 to 1.
const fraction = (id) => parseInt(id.slice(0, 13), 16) / 16 ** 13;

// Where it lies in the range of IDs that share its first `depth` bits.
function fractionWithin(id, depth) {
  const bits = 40;
  const shift = BigInt(Math.max(0, 256 - depth - bits));
  const part = (BigInt(`0x${id}`) >> shift) & ((1n << BigInt(bits)) - 1n);
  return Number(part) / 2 ** bits;
}

// How many bits two IDs share, from the first on: their XOR begins with so many zeros.
function sharedBits(one, other) {
  const distance = BigInt(`0x${one}`) ^ BigInt(`0x${other}`);
  return distance === 0n ? 256 : 256 - distance.toString(2).length;
}

const bitAt = (id, index) => (parseInt(id[index >> 2], 16) >> (3 - (index & 3))) & 1;

function polar(angle, radius) {
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

const point = ([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`;

// An arc from one angle on to a later one.
function arc(radius, from, to) {
  if (to - from >= 2 * Math.PI - 1e-6) {
    const half = point(polar(from + Math.PI, radius));
    const whole = point(polar(from, radius));
    return `M${whole}A${radius} ${radius} 0 1 1 ${half}A${radius} ${radius} 0 1 1 ${whole}`;
  }
  const large = to - from > Math.PI ? 1 : 0;
  return `M${point(polar(from, radius))}A${radius} ${radius} 0 ${large} 1 ${point(polar(to, radius))}`;
}

// What is a contact's health, in one word. A contact is slow beside its neighbours, not beside a
// fixed time: what is slow on one machine is quick across an ocean.
function healthOf(contact, median) {
  if (contact.failures > 0) return "suspect";
  if (contact.rtt_ms == null) return "unmeasured";
  if (median != null && contact.rtt_ms > 3 * median && contact.rtt_ms > median + 20) return "slow";
  return "well";
}

const HEALTH = {
  well: "answers",
  slow: "slower than most",
  unmeasured: "not measured yet",
  suspect: "did not answer",
};
