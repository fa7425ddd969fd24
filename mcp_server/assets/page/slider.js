// The whole page as of any moment: a slider over the home's history, a field, and steps.
import { rowsOf } from "./client.js";
import { el } from "./dom.js";
import { momentText } from "./format.js";
import { go, place } from "./place.js";

const DAY_MS = 86_400_000;
const SETTLED_MS = 250;
const isoOf = (ms) => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");

/** Return the bar. `clientAt(asOf)` asks about another moment; `problem(error)` shows why a step failed. */
export function timeBar({ clientAt, problem }) {
  let since = Date.now() - 30 * DAY_MS, timer;
  const now = () => Date.now();
  const at = () => Date.parse(place().as_of) || now();
  const range = el("input", { type: "range", id: "moment", "aria-label": "Moment that the page shows", oninput: drag, onchange: settle });
  const field = el("input", { type: "datetime-local", "aria-label": "Moment, in your time zone", onchange: () => to(Date.parse(field.value)) });
  const step = (text, label, f) => el("button", { type: "button", "aria-label": label, title: label, onclick: f }, text);
  const forth = [
    step("+1 d", "A day later", () => to(at() + DAY_MS)), step("Next run ›", "The next time that a strategy was due", () => toSlot(1)),
    step("Now", "Back to now", () => to(now())),
  ];
  const bar = el("div", { class: "timebar", role: "group", "aria-label": "Time" },
    step("−1 d", "A day earlier", () => to(at() - DAY_MS)), step("‹ Last run", "The time before that a strategy was due", () => toSlot(-1)),
    range, ...forth, field);

  function to(ms, options) {
    if (Number.isNaN(ms)) return;
    go({ as_of: ms >= now() ? null : isoOf(Math.max(ms, since)) }, options);
  }
  function drag() {
    clearTimeout(timer);
    timer = setTimeout(settle, SETTLED_MS);
    range.setAttribute("aria-valuetext", momentText(isoOf(+range.value)));
  }
  function settle() {
    clearTimeout(timer);
    to(+range.value >= +range.max ? now() : +range.value, { replace: Boolean(place().as_of) });
  }
  async function toSlot(direction) {
    const from = direction < 0 ? isoOf(at() - 1000) : isoOf(at());
    try {
      const { view, name } = place();
      const rows = rowsOf(await clientAt(from).call("list_strategies"));
      const moments = rows.filter((row) => view !== "strategy" || row.name === name)
        .map((row) => Date.parse(direction < 0 ? row.last_at : row.next_slot)).filter(Boolean);
      if (moments.length) to(direction < 0 ? Math.max(...moments) : Math.min(...moments));
    } catch (error) {
      problem(error);
    }
  }

  /** Show where the page is. */
  bar.show = () => {
    const [from, until] = [since, now()];
    const size = Math.max(60_000, Math.round((until - from) / 500 / 60_000) * 60_000);
    Object.assign(range, { min: from, max: from + Math.ceil((until - from) / size) * size, step: size });
    range.value = place().as_of ? at() : range.max;
    range.setAttribute("aria-valuetext", place().as_of ? momentText(place().as_of) : "now");
    const local = (ms) => isoOf(ms - new Date(ms).getTimezoneOffset() * 60_000).slice(0, 16);
    Object.assign(field, { min: local(from), max: local(until) });
    if (document.activeElement !== field) field.value = local(at());
    for (const button of forth) button.disabled = !place().as_of;
  };
  /** Learn when the home's history begins. */
  bar.learn = async () => {
    const { since: first } = await clientAt(null).call("list_strategies");
    if (first) since = Date.parse(first);
    bar.show();
  };
  return bar;
}
