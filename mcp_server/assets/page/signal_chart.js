// The candles of a strategy's market with its signals, each on the last candle that it had seen.
import { timeframeMs } from "./candle_pages.js";
import { priceChart } from "./chart.js";
import { el } from "./dom.js";
import { seldom } from "./seldom.js";

/** Return the chart: `controls`, how to `load` and `draw` it, `mark()` draws the signals that are loaded,
 * and `point(run)`. */
export function signalChart({ client, call, runs, signal, redraw, look, choose }) {
  const box = el("div", { "data-key": "chart", "data-own": true }), on = { holds: false, lines: false };
  let market, indicators, candles = [], ready, made, marked, pointing, covering;
  const length = () => (market ? timeframeMs(market.timeframe) : 60_000);
  const seenBy = (run) => Date.parse(run.as_of) - length();
  const shown = () => runs.list.filter((run) => run.signal && run.trigger !== "replay" && (on.holds || run.signal !== "HOLD"));
  const get = (tool, args) => client.call(tool, { ...market, ...args }, { signal });

  const load = seldom(async () => {
    const { config } = await call("read_strategy");
    const timeframe = config.rules?.timeframe ?? config.interval ?? "1h";
    market = { symbol: config.trading_pair, timeframe, exchange: config.exchange };
    indicators = config.rules?.indicators ?? [];
    return get("get_ohlcv", { limit: 300 });
  }, () => `${Math.floor(Date.now() / length())} ${runs.list[0]?.execution_id}`);

  function draw({ rows = [], note }) {
    candles = [...candles.filter(([time]) => time < rows[0]?.[0]), ...rows];
    const label = `${market.symbol} with the signals of the strategy`;
    ready ??= priceChart(box, { label, onMarker: choose, onPoint, signal }).then((chart) => {
      made = chart;
      made.onEarlier(earlier);
      made.library.timeScale().subscribeVisibleLogicalRangeChange(cover);
    });
    ready.then(() => setCandles());
    return [box, note && el("p", { class: "small muted" }, note)];
  }
  function setCandles() {
    made.setCandles(candles);
    mark(true);
    if (on.lines) lines();
  }
  async function earlier() {
    const { rows } = await get("get_ohlcv", { limit: 500, as_of: candles[0][0] });
    candles = [...rows, ...candles];
    setCandles();
    return rows.length > 0;
  }
  /** Load older runs until there are those of each candle in sight. */
  async function cover() {
    const lacking = () => runs.more && seenBy(runs.list.at(-1)) > 1000 * made.library.timeScale().getVisibleRange()?.from;
    if (covering || !lacking()) return;
    covering = true;
    try {
      while (lacking()) await runs.older(200);
    } finally {
      covering = false;
    }
    mark();
    redraw();
  }
  async function lines() {
    const wanted = on.lines && indicators.length, last = Math.min(candles.length, 1_000);
    const answer = wanted ? await get("calculate_indicators", { indicators, last, layout: true }) : {};
    made.setLines(answer.layout ?? [], answer);
  }
  function mark(always) {
    const ids = String(shown().map((run) => run.execution_id));
    if (!made) return;
    cover();
    if (ids === marked && always !== true) return;
    marked = ids;
    made.setMarkers(shown().map((run) => ({ id: run.execution_id, signal: run.signal, time: seenBy(run), text: "" })));
  }
  const seenIn = (ms) => shown().find((run) => seenBy(run) >= ms && seenBy(run) < ms + length());
  const onPoint = (ms) => pointing || look(ms === null ? null : seenIn(ms)?.execution_id, true);

  const toggle = (key, text, change) => {
    const turn = ({ target }) => {
      on[key] = !on[key];
      target.setAttribute("aria-pressed", on[key]);
      if (made) change();
    };
    return el("button", { class: "small", "aria-pressed": "false", onclick: turn }, text);
  };
  const controls = el("div", { class: "row" }, el("span", { class: "signal buy" }, "BUY"), el("span", { class: "signal sell" }, "SELL"),
    el("span", { class: "small muted" }, "on the last candle that it saw"),
    toggle("holds", "Show HOLD", mark), toggle("lines", "Show its indicators", lines));
  /** Point at the candle of a run; the chart's own pointing is not to answer. */
  function point(run) {
    pointing = true;
    made?.point(run?.signal ? seenBy(run) : null);
    pointing = false;
  }
  return { controls, load, draw, mark, point };
}
