// Inside a host of MCP Apps: the chart or the backtest of one call of a tool.
import { candlePages, timeframeMs } from "./candle_pages.js";
import { priceChart } from "./chart.js";
import { ANSWER_MS, resultOf, rowsOf } from "./client.js";
import { el, fill, notice } from "./dom.js";
import { number, percent, timeOf } from "./format.js";
import { figuresOf } from "./market.js";

const GREETING_MS = 5_000;
const SILENT = { problem: "The program around this page does not answer.", remedy: "Read the tool's answer in the conversation." };

/** Speak JSON-RPC with the window around this one; `heard` says what to do by method. */
function hostOf(heard) {
  const waiting = new Map();
  let last = 0, origin = "*";
  const send = (message) => parent.postMessage({ jsonrpc: "2.0", ...message }, origin);
  addEventListener("message", async ({ source, origin: sender, data }) => {
    if (source !== parent || parent === self || (origin !== "*" && sender !== origin) || data?.jsonrpc !== "2.0") return;
    const { id, method, params = {}, result, error } = data;
    if (method === undefined) {
      if (sender !== "null") origin = sender; // from now on, nobody else is spoken with
      waiting.get(id)?.(result, error);
    } else if (Object.hasOwn(heard, method)) {
      await heard[method](params);
      if (id !== undefined) send({ id, result: {} });
    } else if (id !== undefined) send({ id, error: { code: -32601, message: "This page does not know that method." } });
  });
  const ask = (method, params, ms) => new Promise((done, fail) => {
    const id = (last += 1), timer = setTimeout(() => fail(SILENT), ms);
    waiting.set(id, (result, error) => {
      clearTimeout(timer);
      waiting.delete(id);
      if (result) done(result);
      else fail({ problem: String(error?.message ?? SILENT.problem) });
    });
    send({ id, method, params });
  });
  return { ask, tell: (method, params) => send({ method, params }) };
}

const textOf = ({ content = [] }) => content.find(({ type }) => type === "text")?.text ?? "";

/** Return the facts of an answer: its structured values, or the lines `name: value` of its text. */
const factsOf = (result) =>
  result.structuredContent ?? Object.fromEntries([...textOf(result).matchAll(/^(\w+): (.+)$/gm)].map(([, name, value]) => [name, value]));

async function startApp() {
  const main = document.getElementById("main"), gone = new AbortController(), { signal } = gone;
  let args = {};
  const say = (problem, remedy) => fill(main, notice({ problem, remedy }, "warn"));
  const { ask, tell } = hostOf({
    "ui/notifications/tool-input": (params) => (args = params.arguments ?? {}),
    "ui/notifications/tool-result": (result) => void show(result),
    "ui/notifications/tool-cancelled": ({ reason }) => say("The call was cancelled.", reason),
    "ui/notifications/host-context-changed": adopt,
    "ui/resource-teardown": () => gone.abort(),
    ping() {},
  });
  const call = async (name, given) => resultOf(await ask("tools/call", { name, arguments: given }, ANSWER_MS));

  async function show(result) {
    if (result.isError) return say(textOf(result));
    const facts = factsOf(result), box = el("div"), words = el("div");
    const title = [facts.strategy_name, facts.symbol, facts.timeframe, facts.exchange].filter(Boolean).join(" · ");
    fill(main, el("h1", title), box, words);
    try {
      await (facts.backtest_id ? backtest : candles)(facts, box, words);
    } catch (error) { // the host lets nobody call tools, or one failed: the answer itself is still there
      if (signal.aborted) return;
      const picture = result.content?.find(({ type }) => type === "image");
      fill(box, notice({ problem: "There is no interactive chart here.", remedy: error.problem ?? error.message }, "warn"),
        picture ? el("img", { src: `data:image/png;base64,${picture.data}`, alt: facts.drawn ?? title })
          : Array.isArray(facts.summary) ? facts.summary.map((sentence) => el("p", sentence)) : el("pre", textOf(result)));
    }
  }

  async function candles({ symbol, exchange, timeframe, as_of, simulated, note }, box, words) {
    const { divergence_of: oscillator, strategy_name, limit = 120, indicators: asked = ["ema(50)", "rsi(14)"] } = args;
    const market = { symbol, exchange, timeframe }, end = Date.parse(as_of), frame = timeframeMs(timeframe);
    const indicators = [...new Set(oscillator ? [...asked, oscillator] : asked)];
    const pages = candlePages({ market, indicators, call: (tool, given) => call(tool, { ...given, as_of: given.as_of ?? as_of }) });
    const [divergences, given] = await Promise.all([
      oscillator ? call("detect_divergence", { ...market, as_of, oscillator, lookback: limit }) : {},
      strategy_name ? signals(strategy_name, end - limit * frame) : [],
      pages.later(),
    ]);
    signal.throwIfAborted();
    // A signal stands at the last candle that it saw.
    const marks = given.map((one) => ({ time: Date.parse(one.as_of) - frame, signal: one.signal, text: "" }))
      .filter((one) => one.signal !== "HOLD" && one.time < end);
    const pivots = rowsOf(divergences).flatMap(({ divergence_type, kind, first_time, second_time }) =>
      [[first_time, ""], [second_time, `${kind} ${divergence_type}`]].map(([time, text]) => ({ time, signal: divergence_type, text })));
    const chart = await priceChart(box, { label: `${symbol}, ${timeframe} candles`, signal });
    const draw = () => {
      chart.setCandles(pages.rows);
      if (indicators.length) chart.setLines(pages.layout, pages.table);
      chart.setMarkers([...marks, ...pivots]);
    };
    draw();
    chart.library.timeScale().setVisibleLogicalRange({ from: pages.rows.length - limit, to: pages.rows.length + 1 });
    chart.onEarlier(async () => (await pages.earlier()) && draw());
    fill(words, el("p", { class: "muted" }, simulated && "Invented prices. ", "As of ", timeOf(as_of), ". ",
      strategy_name && `Arrows are signals of ${strategy_name}: up is BUY, down is SELL. `, note));
  }

  /** Read signals, newest first, until they are older than the chart. */
  async function signals(strategy_name, since, before) {
    const rows = rowsOf(await call("list_signals", { strategy_name, limit: 500, detail: "none", before })), oldest = rows.at(-1);
    if (rows.length < 500 || Date.parse(oldest.as_of) < since) return rows;
    return [...rows, ...(await signals(strategy_name, since, oldest.execution_id))];
  }

  async function backtest({ backtest_id }, box, words) {
    const whole = await call("backtest_strategy", { backtest_id: Number(backtest_id), trades: 20 });
    signal.throwIfAborted();
    const chart = await priceChart(box, { label: "The strategy and holding, in per cent", signal });
    const curve = (name, at, tone) => ({ name, tone, points: whole.curve.map((row) => [row[0], row[at]]) });
    chart.setCurves([curve("strategy", 1, "line-2"), curve("holding", 2, "muted")]);
    const row = ({ side, entry_time, exit_time, return_pct }) => el("tr", el("td", side), el("td", timeOf(entry_time)),
      el("td", timeOf(exit_time)), el("td", { class: "num" }, percent(return_pct)));
    const controls = whole.controls ?? {};
    fill(words, (whole.summary ?? []).map((sentence) => el("p", sentence)), el("dl", { class: "figures" }, figuresOf([
      ["Return", percent(whole.return_pct)], ["Holding", percent(whole.buy_and_hold_pct)],
      ["Largest fall", `${number(whole.max_drawdown_pct, 1)} %`], ["Filled a candle later", percent(controls.bar_later_return_pct)],
      ["Random trades it beat", controls.random_percentile != null && `${number(controls.random_percentile, 1)} %`], ["Variants tried", number(whole.trials)],
    ])), whole.rows?.length && el("details", el("summary", "The last trades"), el("div", { class: "scroll" }, el("table", { class: "rows" },
      el("thead", el("tr", ["Side", "In", "Out", "Return"].map((name) => el("th", name)))), el("tbody", rowsOf(whole).map(row))))));
  }

  if (parent === self) return say(SILENT.problem, SILENT.remedy);
  try {
    const greeting = { protocolVersion: "2026-01-26", appInfo: { name: "claude-trader", version: "1" }, appCapabilities: {} };
    adopt((await ask("ui/initialize", greeting, GREETING_MS)).hostContext ?? {});
    tell("ui/notifications/initialized", {});
    new ResizeObserver(() => tell("ui/notifications/size-changed", { height: Math.ceil(document.body.offsetHeight) })).observe(document.body);
  } catch (error) {
    say(error.problem ?? error.message, error.remedy);
  }
}

/** Follow the host's theme, room and safe areas. */
function adopt({ theme, safeAreaInsets: inset, containerDimensions: room }) {
  const root = document.documentElement;
  if (["dark", "light"].includes(theme)) root.style.colorScheme = theme;
  if (inset) document.body.style.padding = ["top", "right", "bottom", "left"].map((side) => `${Number(inset[side]) || 0}px`).join(" ");
  if (room?.height) root.style.setProperty("--chart-height", `${Math.max(room.height / 2, 160)}px`);
}

if (document.documentElement.dataset.start === "app") startApp();
