// One strategy: how it stands, then four parts. Each part asks by itself and fails by itself.
import { backtestList } from "./backtests.js";
import { rowsOf } from "./client.js";
import { command, el, fill, notice, patch } from "./dom.js";
import { filesPart } from "./files.js";
import { agoOf, signalOf, usd } from "./format.js";
import { hrefOf } from "./place.js";
import { recordPart } from "./record.js";
import { signalChart } from "./signalchart.js";
import { runStore, signalTable } from "./signals.js";
import { kindText, slotLegend, slotSquares } from "./slots.js";

const TABS = { signals: "Signals", record: "Record", backtests: "Backtests", files: "Files" };
const ROWS = 25;
const STATUS = { active: "good", paused: "warn", broken: "bad" };

/** Ask anew only when `key()` differs, or after a minute: what is costly to answer and seldom changes. */
function seldom(ask, key) {
  let at, known, answer;
  return () => {
    if (!answer || key() !== known || Date.now() - at > 60_000) {
      [at, known, answer] = [Date.now(), key(), ask()];
      answer.catch(() => (answer = null));
    }
    return answer;
  };
}

export function strategyView({ client, place, asOf, live, signal }) {
  const { name } = place, tabs = el("nav", { class: "tabs", "aria-label": "Parts of this strategy" }), panel = el("div");
  const call = (tool, args) => client.call(tool, { strategy_name: name, ...args }, { signal });
  const runs = runStore(client, name, signal), state = { open: new Set(), filter: "all", shown: ROWS, row: {} };
  const performance = seldom(() => call("get_performance", { curve: true }), () => `${state.row.record} ${state.row.last_at}`);
  let stop, follow = () => {};

  /** Show what `load` answers, and anew when it differs; what is wrong stands in its place, with its remedy. */
  function part(load, draw, until = stop.signal, body = el("div", {}, el("div", { class: "skeleton" }, "Loading…"))) {
    const trouble = el("div", { role: "status" });
    const problem = (error) => {
      if (error && !error.problem) throw error; // the shell tells of it
      patch(trouble, error && notice(error));
      if (error && body.querySelector(":scope > .skeleton")) patch(body);
    };
    live(load, (answer) => patch(body, draw(answer)), { problem, signal: until });
    return el("div", {}, trouble, body);
  }

  async function stands() {
    const kept = (promise) => promise.catch((error) => (error.problem ? { error } : Promise.reject(error)));
    const [listed, files] = await Promise.all([kept(client.call("list_strategies", { after: name.slice(0, -1) }, { signal })), kept(call("read_strategy"))]);
    return { row: rowsOf(listed).find((row) => row.name === name), config: files.config, trouble: files.error ?? listed.error };
  }

  function drawHead({ row, config, trouble }) {
    Object.assign(state, { row: row ?? {}, unknown: !row && Boolean(trouble || asOf) });
    settle();
    const { status = "unknown", record, origin } = state.row, shown = trouble && row && !config ? "broken" : origin === "example" ? origin : status;
    const fact = (label, ...inner) => el("div", { class: label === "Its record" && "wide" }, el("dt", {}, label), el("dd", {}, inner));
    const { exchange, trading_pair: symbol, timeframe } = { ...state.row, ...(config && { symbol: config.trading_pair }) };
    return [
      trouble ? notice(trouble) : state.unknown && notice({ problem: "This strategy did not exist at that moment.", remedy: "Choose a later one." }, "warn"),
      state.unknown && el("p", {}, el("a", { href: hrefOf({ view: "home", name: null }) }, "See all strategies")),
      el("p", { class: "prose" }, config ? !state.unknown && config.description : trouble ? null : row.description),
      row && el("dl", { class: "figures card" },
        fact("State", el("span", { class: `mark ${STATUS[shown] ?? ""}` }, shown)),
        symbol && fact("Market", el("a", { href: hrefOf({ view: "market", name: null, symbol, timeframe, exchange }) }, symbol), el("small", {}, `${timeframe} candles on ${exchange}`)),
        fact("Decided by", { claude: "Claude and its sub-agents", rules: "its rules" }[row.engine] ?? "unknown", el("small", {}, row.schedule)),
        fact("Next slot", row.next_slot ? agoOf(row.next_slot) : "none"),
        fact("Last run", row.last_at ? [row.last_signal ? signalOf(row.last_signal) : kindText(row.last_status), el("small", {}, agoOf(row.last_at))] : "none yet"),
        fact("Spent today", usd(row.spent_today_usd), config?.budget?.usd_per_day && el("small", {}, `of ${usd(+config.budget.usd_per_day)} a day`)),
        fact("Spent this month", usd(row.spent_month_usd)),
        fact("Its record", record ?? "unknown", el("small", {}, el("a", { href: hrefOf({ tab: "record" }) }, "What that means")))),
    ];
  }

  /** What is known nowhere has no parts; one whose folder is gone may still have runs. */
  function settle() {
    tabs.hidden = panel.hidden = Boolean(state.unknown) && !runs.list.length;
    if (runs.loaded) follow();
  }

  function signalsTab() {
    const body = el("div", {}, el("div", { class: "skeleton" }, "Loading…")), redraw = () => patch(body, nodes());
    const rowOf = (id) => document.getElementById(`run-${id}`), one = (id) => runs.list.find((run) => run.execution_id === id);
    function look(id, pointed = false) {
      if (state.marked === id) return;
      rowOf(state.marked)?.classList.remove("marked");
      rowOf((state.marked = id))?.classList.add("marked");
      if (!pointed) chart.point(one(id));
    }
    /** Load what is not known of runs that are open. */
    const complete = () => state.open.forEach((id) => runs.details.has(id) || runs.whole(id).then(redraw));
    /** Open a run, or close it; one that was chosen elsewhere is shown in the table. */
    function choose(id, elsewhere = false) {
      if (elsewhere || !state.open.delete(id)) state.open.add(id);
      if (elsewhere) [state.filter, state.shown] = ["all", Math.max(state.shown, runs.list.indexOf(one(id)) + 1)];
      if (runs.details.get(id) instanceof Error) runs.details.delete(id);
      complete();
      redraw();
      if (!elsewhere) return;
      rowOf(id).scrollIntoView({ block: "center" });
      rowOf(id).querySelector("button").focus({ preventScroll: true });
    }
    async function older() {
      await runs.older();
      redraw();
      chart.mark();
    }
    async function further() {
      state.shown += ROWS;
      if (state.shown > runs.list.length) await runs.older();
      redraw();
    }
    const hooks = { choose, look, further, filter: (filter) => (Object.assign(state, { filter, shown: ROWS }), redraw()) };
    const chart = signalChart({ client, call, runs, seldom, signal: stop.signal, redraw, look, choose: (id) => choose(id, true) });
    const nothing = () => el("div", { class: "empty" }, asOf ? "It had not run by then." : state.row.origin === "example"
      ? [el("p", {}, "This is an example: it runs once it is copied into your home."), command(`claude-trader strategies add ${name}`)]
      : [el("p", {}, "It has not run yet. Run it once by hand, or start the scheduler:"), command(`claude-trader run ${name}`), command("claude-trader up")]);
    const nodes = () => runs.list.length ? [
      el("h2", {}, "Every slot"), runs.more && el("button", { type: "button", class: "small", onclick: older }, "Load older slots"),
      slotSquares(runs.list, state, (id) => choose(id, true)), slotLegend(runs.list), el("h2", {}, "Signals"), signalTable(runs, state, hooks),
    ] : nothing();
    follow = redraw;
    function took(answer) {
      if (!runs.loaded) queueMicrotask(() => body.querySelector(".squares")?.scrollTo(0, 1e6)); // to the newest
      runs.take(answer);
      complete();
      chart.mark();
      settle();
      return nodes();
    }
    return [chart.controls, part(chart.load, chart.draw), part(runs.load, took, stop.signal, body)];
  }

  const parts = {
    signals: signalsTab,
    record: () => part(performance, recordPart({ name, signal: stop.signal })),
    backtests: () => part(() => call("read_strategy", { backtests: true }), (answer) => backtestList(name, answer)),
    files: () => part(() => call("read_strategy"), filesPart(call)),
  };
  function show({ tab }) {
    const shown = Object.hasOwn(TABS, tab ?? "") ? tab : "signals";
    stop?.abort();
    follow = () => {};
    stop = new AbortController();
    patch(tabs, Object.entries(TABS).map(([key, text]) => el("a", { href: hrefOf({ tab: key }), "data-key": key, "aria-current": key === shown && "page" }, text)));
    fill(panel, el("h2", { class: "unseen" }, TABS[shown]), parts[shown]());
  }
  signal.addEventListener("abort", () => stop.abort());
  const view = el("section", { class: "strategy" }, el("h1", {}, name), part(stands, drawHead, signal), tabs, panel);
  view.onplace = show;
  show(place);
  return view;
}
