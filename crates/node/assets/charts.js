// Small charts of the recent past: one scale each, the latest values in words. The last minutes come
// with every view; the hour is fetched while it is chosen.

const CHARTS = [
  {
    title: "Operations per second",
    series: [["gets_per_second", "GET"], ["puts_per_second", "PUT"]],
    say: rate,
  },
  {
    title: "GET latency",
    series: [["get_p50_ms", "median"], ["get_p99_ms", "p99"]],
    say: millis,
  },
  {
    title: "Bytes per second",
    series: [["received_bytes_per_second", "in"], ["sent_bytes_per_second", "out"]],
    say: (value) => (value == null ? "–" : bytes(value)),
  },
  {
    title: "Requests per second",
    series: [["served_per_second", "served"], ["failed_requests_per_second", "failed"]],
    say: rate,
  },
];

// A sample of the hour covers 30 s: fetching it more often would bring nothing new.
const HOUR_EVERY_MS = 15000;

const CHART_WIDTH = 300;
const CHART_HEIGHT = 56;

class Charts {
  constructor(place) {
    this.charts = CHARTS.map((plan) => {
      const now = make("p", { class: "now" });
      const svg = draw("svg", { viewBox: `0 0 ${CHART_WIDTH} ${CHART_HEIGHT}`, preserveAspectRatio: "none", role: "img" });
      const start = make("span");
      const top = make("span");
      const root = make("div", { class: "chart" },
        make("h4", {}, plan.title), now, svg,
        make("p", { class: "scale" }, start, top));
      const chart = { plan, now, svg, start, top, at: null };
      svg.addEventListener("pointermove", (event) => {
        const box = svg.getBoundingClientRect();
        chart.at = (event.clientX - box.left) / box.width;
        this.redraw(chart);
      });
      svg.addEventListener("pointerleave", () => {
        chart.at = null;
        this.redraw(chart);
      });
      place.append(root);
      return chart;
    });
    this.window = new URLSearchParams(location.search).get("window") === "hour" ? "hour" : "minutes";
    this.fetchedAt = -Infinity;
    byId("windows").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) this.choose(button.dataset.window);
    });
    this.mark();
  }

  // Shows the other window, and has the page's address say so.
  choose(window) {
    this.window = window;
    this.fetchedAt = -Infinity;
    remember({ window: window === "hour" ? "hour" : null });
    this.mark();
    if (window === "minutes") this.show(this.minutes);
    else this.fetchHour();
  }

  mark() {
    for (const button of byId("windows").children) {
      button.setAttribute("aria-pressed", String(button.dataset.window === this.window));
    }
  }

  // The last minutes, as they come with every view.
  update(history) {
    this.minutes = history;
    if (this.window === "minutes") this.show(history);
    else this.fetchHour();
  }

  async fetchHour() {
    const now = performance.now();
    if (now - this.fetchedAt < HOUR_EVERY_MS) return;
    this.fetchedAt = now;
    const response = await fetch(withNode("/history.json", { window: "hour" })).catch(() => null);
    // Without an answer the charts stay as they are; the next view tries again.
    if (!response?.ok) return;
    const history = await response.json();
    if (this.window === "hour") this.show(history);
  }

  show(history) {
    this.history = history;
    for (const chart of this.charts) this.redraw(chart);
  }

  redraw(chart) {
    const { history } = this;
    if (!history) return;
    const { plan } = chart;
    chart.start.textContent = `${span(history.samples * history.interval_seconds)} ago`;
    const rows = plan.series.map(([name]) => history.series.find((series) => series.name === name).values);
    const length = rows[0].length;
    const most = Math.max(1e-9, ...rows.flat().map((value) => value ?? 0));
    const xOf = (index) => CHART_WIDTH * (1 - (length - 1 - index) / (history.samples - 1));
    const yOf = (value) => CHART_HEIGHT - 1 - (CHART_HEIGHT - 4) * (value / most);
    const parts = [draw("path", { class: "base", d: `M0 ${CHART_HEIGHT - 0.5}H${CHART_WIDTH}` })];
    rows.forEach((values, row) => {
      const runs = [];
      values.forEach((value, index) => {
        if (value == null) return;
        const at = `${xOf(index).toFixed(1)} ${yOf(value).toFixed(1)}`;
        if (index > 0 && values[index - 1] != null) runs.at(-1).push(at);
        else runs.push([at]);
      });
      for (const run of runs) {
        const line = run.length > 1 ? `M${run.join("L")}` : `M${run[0]}h1.5`;
        if (row === 0 && run.length > 1) {
          const [from, to] = [run[0], run.at(-1)].map((at) => at.split(" ")[0]);
          parts.push(draw("path", { class: "area", d: `${line}L${to} ${CHART_HEIGHT}L${from} ${CHART_HEIGHT}Z` }));
        }
        parts.push(draw("path", { class: row === 0 ? "curve" : "curve b", d: line }));
      }
    });
    let index = length - 1;
    if (chart.at != null && length > 0) {
      const wanted = Math.round(chart.at * (history.samples - 1)) - (history.samples - length);
      index = Math.min(length - 1, Math.max(0, wanted));
      parts.push(draw("path", { class: "cross", d: `M${xOf(index).toFixed(1)} 0V${CHART_HEIGHT}` }));
    }
    fill(chart.svg, ...parts);
    const words = plan.series.map(([, name], row) => `${name} ${plan.say(rows[row][index])}`);
    fill(chart.now, ...words.map((text, row) => make("span", { class: row ? "b" : "a" }, text)));
    const peak = rows.flat().some((value) => value > 0) ? `most ${plan.say(most)}` : "";
    const ago = (length - 1 - index) * history.interval_seconds;
    chart.top.textContent = chart.at != null ? `${span(ago)} ago` : peak;
    chart.svg.setAttribute("aria-label", `${plan.title}: ${words.join(", ")}; ${peak}`);
  }
}
