// One strategy: how it stands, then four parts. Each part asks by itself and fails by itself.
import { backtestList } from "./backtests.js";
import { el, fill, notice, patch } from "./dom.js";
import { filesPart } from "./files.js";
import { hrefOf } from "./place.js";
import { recordPart } from "./record.js";
import { runsPart } from "./runs.js";
import { seldom } from "./seldom.js";
import { loading, runStore } from "./signals.js";
import { standing } from "./standing.js";
import { wordsOf } from "./words.js";

const TABS = { signals: "Signals", record: "Record", backtests: "Backtests", files: "Files" };

export function strategyView({ client, place, asOf, live, signal }) {
  const { name } = place, tabs = el("nav", { class: "tabs", "aria-label": "Parts of this strategy" }), panel = el("div");
  const call = (tool, args) => client.call(tool, { strategy_name: name, ...args }, { signal });
  const state = { row: {}, open: new Set(), filter: "all", shown: 0, changed() {} };
  const is = { client, call, name, asOf, signal, state, part, runs: runStore(client, name, signal), hide: (all) => (tabs.hidden = panel.hidden = all) };
  is.performance = seldom(() => call("get_performance", { curve: true }), () => `${state.row.record} ${state.row.last_at}`);
  let stop;

  /** Show what `load` answers, and anew when it differs; or what is wrong. */
  function part(load, draw, until = stop.signal, body = loading()) {
    const trouble = el("div", { role: "status" });
    const problem = (error) => {
      if (error && !error.problem) throw error; // the shell tells of it
      patch(trouble, error && error.message !== state.trouble && notice(error)); // the head of the view tells of its trouble
      if (error && body.querySelector(":scope > .skeleton")) patch(body);
    };
    live(load, (answer) => patch(body, draw(answer)), { problem, signal: until, body });
    return el("div", trouble, body);
  }

  const parts = {
    signals: () => runsPart({ ...is, signal: stop.signal }),
    record: () => part(is.performance, recordPart(name, stop.signal)),
    backtests: () => part(() => call("read_strategy", { backtests: true }), (answer) => backtestList(name, answer)),
    files: () => part(() => call("read_strategy"), filesPart(call)),
  };
  function show({ tab }) {
    const shown = Object.hasOwn(TABS, tab ?? "") ? tab : "signals";
    stop?.abort();
    stop = new AbortController();
    state.changed = () => {};
    patch(tabs, Object.entries(TABS).map(([key, text]) =>
      el("a", { href: hrefOf({ tab: key }), "data-key": key, "aria-current": key === shown && "page" }, text)));
    fill(panel, el("h2", { class: "unseen" }, TABS[shown]), parts[shown](), wordsOf(shown));
  }
  signal.addEventListener("abort", () => stop.abort());
  const view = el("section", { class: "strategy" }, el("h1", name), standing(is), tabs, panel);
  view.onplace = show;
  show(place);
  return view;
}
