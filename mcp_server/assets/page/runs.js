// The chart, the squares and the table of runs: what is pointed at or opened in one shows in the others.
import { command, el, notice, patch } from "./dom.js";
import { signalChart } from "./signal_chart.js";
import { loading, runStore, signalTable } from "./signals.js";
import { slotLegend, slotSquares } from "./slots.js";

const ROWS = 25;

export function runsPart(is) {
  const { runs, state, part, signal } = is, body = loading();
  const rowOf = (id) => document.getElementById(`run-${id}`), runOf = (id) => runs.list.find((run) => run.execution_id === id);
  const replays = runStore(is.client, is.name, signal, { replayed: true }), shown = () => (state.filter === "replay" ? replays : runs);
  const redraw = () => runs.loaded && patch(body, nodes());
  let waiting;
  const soon = () => (waiting ??= setTimeout(() => ((waiting = null), redraw()), 30)); // many answers, one drawing
  state.shown ||= ROWS;
  state.changed = () => ((chart.controls.hidden = Boolean(state.trouble)), redraw());

  function look(id, pointed = false) {
    if (state.marked === id) return;
    rowOf(state.marked)?.classList.remove("marked");
    rowOf((state.marked = id))?.classList.add("marked");
    if (!pointed) chart.point(runOf(id));
  }
  /** Load what is not known of runs that are open. */
  const complete = () => state.open.forEach((id) => shown().details.has(id) || shown().whole(id).then(soon));

  function choose(id) {
    if (!state.open.delete(id)) state.open.add(id);
    if (shown().details.get(id) instanceof Error) shown().details.delete(id);
    complete();
    redraw();
  }
  /** Open a run that was chosen elsewhere, and go to it in the table. */
  function visit(id) {
    [state.filter, state.shown] = ["all", Math.max(state.shown, runs.list.indexOf(runOf(id)) + 1)];
    state.open.delete(id);
    choose(id);
    rowOf(id).scrollIntoView({ block: "center" });
    rowOf(id).querySelector("button").focus({ preventScroll: true });
  }
  async function older() {
    await runs.older();
    chart.mark();
    redraw();
  }
  async function further(have) {
    state.shown += ROWS;
    if (state.shown > have) await shown().older();
    redraw();
  }
  function filter(name) {
    Object.assign(state, { filter: name, shown: ROWS });
    replays.trouble = null;
    redraw();
    if (name === "replay") replays.load().then((answer) => replays.take(answer), (error) => (replays.trouble = error)).then(redraw);
  }
  const chart = signalChart({ ...is, redraw, look, choose: visit });

  /** The squares stay at the newest, unless the reader has gone to older ones. */
  function keepEnd() {
    const squares = () => body.querySelector(".squares"), box = squares();
    if (!box || box.scrollHeight - box.scrollTop - box.clientHeight < 8) queueMicrotask(() => squares()?.scrollTo(0, 1e6));
  }
  const nodes = () => (keepEnd(), runs.list.length ? [
    el("h2", "Every slot"), el("p", { class: "muted small" }, "A slot is a time at which the strategy is due. Open one to see what came of it."),
    runs.more && el("button", { class: "small", onclick: older }, "Load older slots"),
    slotSquares(runs.list, state, visit), slotLegend(runs.list), el("h2", "Signals"),
    table(),
  ] : [nothing(is), state.row.engine === "claude" && table()]);
  const table = () => [shown().trouble && notice(shown().trouble), signalTable(shown(), state, { choose, look, filter, further })];

  function draw(answer) {
    runs.take(answer);
    complete();
    chart.mark();
    return nodes();
  }
  return [chart.controls, part(chart.load, chart.draw), part(runs.load, draw, signal, body)];
}

function nothing({ name, asOf, state }) {
  if (asOf || state.trouble) return el("div", { class: "empty" }, asOf ? "It had not run by then." : "It has not run yet.");
  return el("div", { class: "empty" }, state.row.origin === "example"
    ? [el("p", "This is an example: it runs once it is copied into your home."), command(`claude-trader strategies add ${name}`)]
    : [el("p", "It has not run yet. Run it once by hand, or start the scheduler:"), command(`claude-trader run ${name}`), command("claude-trader up")]);
}
