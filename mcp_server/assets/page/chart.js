// A chart with its readout, its keys and its times. Times go in as ISO texts or Unix ms.
import { painter, secondsOf, short } from "./chart_series.js";
import { el, fill } from "./dom.js";
import { percent, price } from "./format.js";

const CLOCK = { hour: "2-digit", minute: "2-digit" };
const DATE = { day: "numeric", month: "short" };
const YEAR = { year: "numeric" };
const STEPS = [60, 300, 900, 3600, 14400, 86400];

/** Fill a box with a chart. `label`: what it shows; `onMarker(id)`: a signal was clicked; `onPoint(ms or null)`: the
 * candle that is pointed at is another one; `signal` removes it. */
export async function priceChart(box, { label = "Chart", log = false, onMarker, onPoint, signal } = {}) {
  if (!window.LightweightCharts) await import(document.querySelector("meta[name=charts]").content);
  signal?.throwIfAborted();
  const gone = new AbortController(), heard = { signal: gone.signal };
  const readout = el("p", { class: "readout" }), plot = el("div", { class: "chart" });
  const is = { rows: [], slots: [], step: 0, markers: [], curves: [], drawings: [], table: {}, log };
  let figures = [], cursor = null, aim = null, earlier, busy;

  // Days and weeks are the exchange's, in UTC; shorter candles have the reader's time.
  const dated = (time, options, utc = is.step >= 86400) =>
    new Intl.DateTimeFormat("en-GB", { ...options, timeZone: utc ? "UTC" : undefined }).format(time * 1000);
  const clock = () => (is.step < 86400 ? CLOCK : null);
  const when = (time) => `${dated(time, { weekday: "short", ...DATE, ...YEAR, ...clock() })} ${clock() ? `(${dated(time, CLOCK, true)} UTC)` : "UTC"}`;
  const tick = (time, kind) => {
    const options = [YEAR, { month: "short" }, DATE][kind];
    return dated(time, options && clock() && dated(time, CLOCK) !== "00:00" ? { ...DATE, ...CLOCK } : options ?? CLOCK);
  };
  fill(box, readout, plot);
  const chart = LightweightCharts.createChart(plot, {
    autoSize: true, handleScroll: { vertTouchDrag: false }, crosshair: { mode: 0 }, rightPriceScale: { minimumWidth: 64 },
    layout: { attributionLogo: false, fontFamily: "system-ui", fontSize: Math.round(0.75 * parseFloat(getComputedStyle(document.documentElement).fontSize)), panes: { enableResize: false } },
    localization: { locale: "en-GB", timeFormatter: (time) => dated(time, { ...DATE, ...(clock() ?? YEAR) }) },
    timeScale: { timeVisible: true, minBarSpacing: 0.2, rightOffset: 2, tickMarkFormatter: tick },
  });
  const scale = chart.timeScale(), paint = painter(LightweightCharts, chart, plot);

  function draw() {
    const { rows, slots } = is;
    figures = paint(is);
    const low = () => price(Math.min(...rows.map((row) => row[3]))), high = () => price(Math.max(...rows.map((row) => row[2])));
    const facts = rows.length && `: ${rows.length} closed candles, ${when(slots[0].time)} to ${when(slots.at(-1).time)}, lowest ${low()}, highest ${high()}`;
    box.ariaLabel = `${label}${facts || ""}. Arrow keys move along it, plus and minus zoom.`;
    tell();
  }
  const set = (part) => (Object.assign(is, part), draw());

  function figure(name, text, tone) {
    const swatch = tone && el("i");
    if (tone) swatch.style.background = `var(--${tone})`;
    return el("span", swatch, `${name} `, el("b", text));
  }
  function tell() {
    const at = cursor ?? is.slots.length - 1, slot = is.slots[at];
    if (!slot) return;
    fill(readout, el("span", when(slot.time)), is.rows.length && !slot.close ? el("span", "no candle") : null,
      slot.close ? ["open", "high", "low", "close"].map((name) => figure(name, price(slot[name]))) : null,
      slot.close ? [figure("change", percent(Math.round((slot.close / slot.open - 1) * 1e4) / 100 + 0)), figure("volume", short(slot.volume))] : null,
      figures.map(([name, values, write, tone]) => figure(name, values[at] == null ? "–" : write(values[at]), tone)));
  }

  function point(at) {
    if (at !== cursor) onPoint?.(at === null ? null : is.slots[at].time * 1000);
    cursor = at;
  }
  // The chart takes a new range in its next frame: until then `aim` has it.
  const range = () => aim ?? scale.getVisibleLogicalRange() ?? { from: 0, to: 1 };
  const show = (from, to) => scale.setVisibleLogicalRange((aim = { from, to }));
  const inside = (at) => Math.min(Math.max(at, 0), is.slots.length - 1);
  function move(by) {
    point(inside((cursor ?? is.slots.length) + by));
    const { from, to } = range(), shift = Math.min(cursor - from - 1, 0) || Math.max(cursor - to + 1, 0);
    if (shift) show(from + shift, to + shift);
    const series = chart.panes()[0].getSeries()[0], { time, close } = is.slots[cursor];
    chart.setCrosshairPosition(close ?? series.dataByIndex(cursor, -1)?.value ?? 0, time, series);
    readout.ariaLive = "polite";
    tell();
  }
  const zoom = (factor) => show(range().to - Math.max((range().to - range().from) * factor, 5), range().to);
  const keys = {
    ArrowLeft: (by) => move(-by), ArrowRight: move, Home: () => move(-is.slots.length), End: () => move(is.slots.length),
    "+": () => zoom(0.7), "=": () => zoom(0.7), "-": () => zoom(1.4),
  };
  box.addEventListener("keydown", (event) => {
    if (!keys[event.key] || !is.slots.length || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key](event.shiftKey ? 10 : 1);
  }, heard);
  Object.assign(box, { tabIndex: 0, role: "application", ariaRoleDescription: "chart", ariaLabel: label });

  async function reach() {
    if (!earlier || busy || !is.rows.length || range().from > 10) return;
    busy = true;
    await null; // the chart may be drawing just now
    const more = await earlier().catch(() => null);
    busy = false;
    if (more === false) earlier = null;
    else if (more) reach();
  }
  scale.subscribeVisibleLogicalRangeChange(() => {
    aim = null;
    reach();
  });
  const pointed = ({ logical }) => {
    readout.ariaLive = "off";
    point(logical == null ? null : inside(Math.round(logical)));
    tell();
  };
  chart.subscribeCrosshairMove((event) => event.sourceEvent && pointed(event)); // others tell of data that is new
  plot.addEventListener("pointerleave", pointed, heard);
  chart.subscribeClick(({ hoveredObjectId: id }) => id !== undefined && onMarker?.(id));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw, heard);
  const themed = new MutationObserver(draw);
  themed.observe(document.documentElement, { attributes: true });

  const made = {
    /** Rows as get_ohlcv answers them, oldest first. A gap keeps its width, up to 300 candles of it. */
    setCandles(rows) {
      const first = !is.rows.length, held = is.slots[cursor]?.time, times = rows.map((row) => secondsOf(row[0]));
      const step = times.reduce((least, time, at) => (at ? Math.min(least, time - times[at - 1]) : least), Infinity);
      const gap = (at) => (at ? Math.min((times[at] - times[at - 1]) / step - 1, 300) : 0);
      const slots = rows.flatMap(([, open, high, low, close, volume], at) => [
        ...Array.from({ length: gap(at) }, (_, slot) => ({ time: times[at - 1] + (slot + 1) * step })),
        { time: times[at], open, high, low, close, volume },
      ]);
      if (cursor !== null) cursor = Math.max(slots.findIndex((slot) => slot.time >= held), 0);
      const more = slots.findIndex((slot) => slot.time === is.slots[0]?.time), { from, to } = range();
      set({ rows, slots, step });
      if (more > 0) aim = { from: from + more, to: to + more };
      if (first) show(slots.length - Math.max(plot.clientWidth / 8, 20), slots.length + 1);
    },
    /** What calculate_indicators(layout=true) answers: its `layout`, and {columns, rows}. */
    setLines: (drawings, table) => set({ drawings, table }),
    /** {time, signal, text, id}: each stands at the last candle that had opened by then. */
    setMarkers: (markers) => set({ markers }),
    /** Those that are drawn. */
    markers: paint.markers,
    /** {name, tone, points: [[time, per cent], …]}; without candles they have the whole width. */
    setCurves(curves) {
      const times = curves.flatMap((curve) => curve.points.map(([time]) => secondsOf(time)));
      const alone = !is.rows.length && times.length;
      if (alone) {
        const last = Math.max(...times), span = last - Math.min(...times);
        is.step = STEPS.find((step) => step * 400 >= span) ?? Math.ceil(span / 400 / 86400) * 86400;
        const first = Math.floor(Math.min(...times) / is.step) * is.step;
        is.slots = Array.from({ length: Math.floor((last - first) / is.step) + 1 }, (_, at) => ({ time: first + at * is.step }));
      }
      set({ curves });
      if (alone) scale.fitContent();
    },
    /** Point at the last candle that had opened by a moment (ms), or at none (null). */
    point(ms) {
      const at = ms === null ? -1 : is.slots.findLastIndex((slot) => slot.time * 1000 <= ms);
      point(at < 0 ? null : at);
      if (at >= 0) return move(0);
      chart.clearCrosshairPosition();
      tell();
    },
    /** Called at the first candle, one call at a time: promises true for more, false at the end. */
    onEarlier(load) {
      earlier = load;
      reach();
    },
    remove() {
      gone.abort();
      themed.disconnect();
      chart.remove();
      fill(box);
    },
  };
  signal?.addEventListener("abort", made.remove, heard);
  return (box.chart = { ...made, library: chart });
}
