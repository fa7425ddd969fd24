// Every slot as a square: oldest first, a row for each day, one tab stop for all of them.
import { el } from "./dom.js";
import { momentText, number } from "./format.js";

const KINDS = {
  __proto__: null, BUY: ["▲", "BUY"], SELL: ["▼", "SELL"], HOLD: ["–", "HOLD"],
  running: ["•", "running now"], abstained: ["?", "abstained: it could not decide"], error: ["!", "failed"],
  timeout: ["T", "took too long"], missed: ["×", "missed: it did not run"],
  skipped_overlap: ["=", "skipped: the run before was still going"], skipped_stale: ["L", "skipped: it was too late"],
  skipped_budget: ["$", "skipped: no budget left"], skipped_gate: ["z", "skipped: its wake condition did not hold"],
  drift: ["≠", "drift: its cassette has no reply to what it asked"],
};
const DAY = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short" });

/** What a run came to: its signal, or the status without one. */
const kindOf = (run) => run.signal ?? run.status;
export const kindText = (kind) => (KINDS[kind] ?? ["·", kind])[1];
const glyph = (kind) => (KINDS[kind] ?? ["·"])[0];

/** Return the squares of all runs that had a slot. `choose(id)` opens a run, `state.slot` is the one with the tab stop. */
export function slotSquares(runs, state, choose) {
  const slots = runs.filter((run) => run.scheduled_at).sort((one, other) => (one.scheduled_at < other.scheduled_at ? -1 : 1));
  const days = Map.groupBy(slots, (run) => DAY.format(new Date(run.scheduled_at)));
  const stop = slots.find((run) => run.execution_id === state.slot) ?? slots.at(-1);
  const square = (run) => {
    const kind = kindOf(run), words = `${momentText(run.scheduled_at)}: ${run.slots > 1 ? `${number(run.slots)} slots ` : ""}${kindText(kind)}`;
    return el("button", {
      class: `square ${kind}`, "data-key": `slot-${run.execution_id}`, tabindex: run === stop ? 0 : -1,
      title: run.signal ? words : `${words}. ${run.reasoning}`, "aria-label": words, "aria-pressed": String(state.open.has(run.execution_id)),
      onfocus: () => (state.slot = run.execution_id), onclick: () => choose(run.execution_id),
    }, glyph(kind), run.slots > 1 && el("small", number(run.slots)));
  };
  if (!slots.length) return el("p", { class: "muted" }, "None yet: it has not been due since its first run.");
  return el("div", { class: "squares", role: "group", "aria-label": "Slots, oldest first; arrow keys move, Enter opens the run", onkeydown: move },
    [...days].map(([day, list]) => el("div", { class: "day", "data-key": day }, el("p", { class: "muted small" }, day), el("div", list.map(square)))));
}

/** Return what the squares mean, with how many there are of each kind. */
export function slotLegend(runs) {
  const counts = new Map();
  runs.forEach((run) => run.scheduled_at && counts.set(kindOf(run), (counts.get(kindOf(run)) ?? 0) + run.slots));
  return el("ul", { class: "legend", "aria-label": "What the squares mean" }, [...Object.keys(KINDS), ...counts.keys()]
    .filter((kind, at, all) => counts.has(kind) && all.indexOf(kind) === at)
    .map((kind) => el("li", el("span", { class: `square ${kind}`, "aria-hidden": "true" }, glyph(kind)), `${number(counts.get(kind))} ${kindText(kind)}`)));
}

function move(event) {
  const all = [...event.currentTarget.querySelectorAll("button")], at = all.indexOf(event.target);
  const steps = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1, ArrowUp: beside(all, at, -1), ArrowDown: beside(all, at, 1) };
  if (!(event.key in steps)) return;
  event.preventDefault();
  const next = all[steps[event.key]];
  if (!next) return;
  all[at].tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

/** Return which square stands nearest in the line above or below. */
function beside(all, at, step) {
  const { top, left } = all[at].getBoundingClientRect();
  const places = all.map((node, place) => ({ place, box: node.getBoundingClientRect() })).filter(({ box }) => (box.top - top) * step > 1);
  const away = ({ box }) => Math.abs(box.top - top) * 1e4 + Math.abs(box.left - left);
  return places.sort((one, other) => away(one) - away(other))[0]?.place;
}
