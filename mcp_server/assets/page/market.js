// Any market: its candles with indicators, back into history, and the price now.
import { candlePages } from "./candle_pages.js";
import { priceChart } from "./chart.js";
import { short } from "./chart_series.js";
import { SignedOut, rowsOf } from "./client.js";
import { combobox } from "./combobox.js";
import { el, figure, fill, notice } from "./dom.js";
import { agoOf, percent, price, timeOf } from "./format.js";
import { go } from "./place.js";

const FRAMES = "1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w".split(" ");
const FIRST = { symbol: "BTC/USDT", timeframe: "1h", indicators: "ema(50);rsi(14)" };
const MOST_INDICATORS = 10;

/** Split a text at semicolons, and at commas outside brackets. */
const specsOf = (text) => String(text).split(/[;,](?![^(]*\))/).map((spec) => spec.trim()).filter(Boolean);

/** Return what the address asks for, else what was looked at last. */
function choiceOf(place) {
  let last = null;
  try {
    last = JSON.parse(localStorage.getItem("market"));
  } catch {} // whatever stands there, it is no choice
  const { symbol, exchange = "", timeframe, indicators, log } = { ...FIRST, ...(place.symbol ? place : last) };
  const specs = specsOf(indicators).filter((spec) => spec !== "none");
  return { symbol, exchange, timeframe: FRAMES.includes(timeframe) ? timeframe : "1h", specs, log: Boolean(log) };
}

/** Return [name, value] pairs as figures. */
export const figuresOf = (pairs) => pairs.filter(([, value]) => value != null && value !== false).map(([name, value]) => figure(name, value));

export function marketView({ client, place, asOf, live, signal }) {
  const call = (tool, args, within = signal) => client.call(tool, args, { signal: within });
  const [chips, box, quote] = [el("div", { class: "row chips" }), el("div"), el("dl", { class: "figures" })];
  const [status, trouble, refused, notes] = [el("p", { class: "muted", role: "status" }), el("div"), el("div", { role: "status" }), el("p", { class: "muted small" })];
  const figures = { now: [], swap: [] };
  let choice = choiceOf(place), stop = new AbortController();

  const quoted = (part) => {
    const { now, swap } = Object.assign(figures, part);
    fill(quote, figuresOf([...now, ...swap]));
  };
  const change = (part) => {
    const { specs, log, ...rest } = { ...choice, ...part };
    go({ ...rest, indicators: specs.join(";") || "none", log: log ? 1 : null });
  };
  const offers = async (tool, args, within, offer) => rowsOf(await call(tool, { limit: 8, ...args }, within)).map(offer);
  const symbol = combobox({
    label: "Market", signal, choose: (text) => text && change({ symbol: text }),
    find: (query, within) => offers("find_markets", { query, exchange: choice.exchange }, within, (one) => ({ value: one.symbol, about: one.kind })),
  });
  const exchange = combobox({
    label: "Exchange", placeholder: "the default", signal, choose: (text) => change({ exchange: text }),
    find: (query, within) => offers("find_markets", { query, kind: "exchange" }, within, (one) => ({ value: one.id, about: one.name })),
  });
  const indicator = combobox({
    label: "Add an indicator", placeholder: "rsi(14), trend strength …", signal, choose: (text, input) => {
      input.value = "";
      change({ specs: [...new Set([...choice.specs, ...specsOf(text)])].slice(-MOST_INDICATORS) });
    },
    find: (text, within) => offers("find_indicators", { query: text.split("(")[0] }, within, ({ name, parameters, meaning }) => {
      const defaults = [...parameters.matchAll(/=(\S+)/g)].map((match) => match[1]);
      return { value: defaults.length ? `${name}(${defaults.join(", ")})` : name, about: meaning };
    }),
  });
  const frame = el("select", { onchange: () => change({ timeframe: frame.value }) }, FRAMES.map((name) => el("option", name)));
  const log = el("input", { type: "checkbox", onchange: () => change({ log: log.checked }) });

  function show() {
    symbol.set(choice.symbol);
    exchange.set(choice.exchange);
    frame.value = choice.timeframe;
    log.checked = choice.log;
    fill(chips, choice.specs.map((spec) => el("button", {
      type: "button", class: "small", "aria-label": `Remove ${spec}`, onclick: () => change({ specs: choice.specs.filter((one) => one !== spec) }),
    }, spec, " ×")), indicator, el("label", { class: "check" }, log, "Logarithmic"));
  }

  function open() {
    stop.abort();
    stop = new AbortController();
    show();
    localStorage.setItem("market", JSON.stringify({ ...choice, indicators: choice.specs.join(";") || "none" }));
    [box, trouble, refused, notes].forEach((part) => fill(part));
    box.replaceChildren(el("div", { class: "chart skeleton" }));
    Object.assign(figures, { swap: [] });
    quoted({ now: [["Price", "…"], ["In 24 hours", "…"], ["As of", "…"]] });
    follow(choice, AbortSignal.any([signal, stop.signal]));
  }

  function follow({ symbol: name, exchange: at, timeframe, specs, log: logarithmic }, within) {
    const market = { symbol: name, exchange: at, timeframe };
    const pages = candlePages({ call: (tool, args) => call(tool, args, within), market, indicators: specs });
    let chart, asking;
    const problem = (error) => {
      if (error instanceof SignedOut) throw error; // the shell asks for a token
      if (!within.aborted) fill(trouble, error && notice(error.problem ? error : { problem: "This market cannot be shown.", remedy: error.message }));
      if (error) [status, ...(chart ? [] : [box])].forEach((part) => fill(part));
    };
    const draw = () => {
      chart.setCandles(pages.rows);
      chart.setLines(pages.layout, pages.table);
      fill(refused, pages.refused.map((error) => notice(error, "warn")));
    };
    const tell = (text) => fill(notes, ["Only closed candles are drawn.", pages.note, text].filter(Boolean).join(" "));
    const earlier = async () => {
      fill(status, "Loading earlier candles …");
      try {
        const more = await pages.earlier();
        fill(status, "");
        if (more) draw();
        else tell(["History begins on ", timeOf(pages.rows[0][0]).textContent, "."].join(""));
        return more;
      } catch (error) {
        if (!within.aborted) fill(status, error.problem ? error.message : "Earlier candles did not arrive.", " Move on to try again.");
        return null;
      }
    };
    live(async () => {
      if (!chart && !asking) fill(status, (asking = `Asking ${at || "the exchange"} for ${name} …`));
      await pages.later();
      if (!chart && pages.rows.length) {
        chart = await priceChart(box, { label: `${name}, ${timeframe}`, log: logarithmic, signal: within });
        chart.onEarlier(earlier);
      }
      return pages.seen;
    }, () => {
      fill(status, pages.rows.length ? "" : "There are no candles by then. Choose another market, timeframe or moment.");
      if (!chart) return fill(box);
      draw();
      tell(asOf ? "" : "A new one appears when it closes.");
    }, { signal: within, problem, body: box });
    live(() => call("get_price", { symbol: name, exchange: at }, within), (now) => quoted({ now: [
      ["Price", el("span", price(now.price), el("small", `${now.symbol}, ${now.exchange}${now.simulated ? ": invented prices" : ""}`))],
      ["In 24 hours", now.change_24h_pct != null && el("span", { class: now.change_24h_pct < 0 ? "down" : "up" }, percent(now.change_24h_pct))],
      ["As of", agoOf(now.price_time)],
      ["Volume in 24 hours", now.volume_24h_base && short(now.volume_24h_base)],
    ] }), { signal: within, problem: (error) => error && quoted({ now: [["Price", "unknown"]] }) });
    if (name.includes(":")) live(() => call("get_derivatives", { symbol: name, exchange: at, limit: 1 }, within), (swap) => quoted({ swap: [
      ["Last funding", swap.last_funding_rate == null ? "unknown" : percent(swap.last_funding_rate * 100, 4)], ["Open interest", swap.open_interest_base && short(swap.open_interest_base)],
    ] }), { signal: within, once: true, problem: () => {} });
  }

  const view = el("section", { class: "market" }, el("h1", "Market"),
    el("form", { class: "fields", onsubmit: (event) => event.preventDefault() }, symbol, exchange, el("label", "Timeframe", frame)),
    chips, quote, trouble, refused, el("div", { class: "charted" }, box, status), notes);
  view.onplace = (at) => {
    choice = choiceOf(at);
    open();
  };
  open();
  return view;
}
