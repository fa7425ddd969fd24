// The whole page as of any moment: a slider over the home's history, a field, and steps.
import { rowsOf } from "./client.js";
import { el } from "./dom.js";
import { momentText } from "./format.js";
import { go, place } from "./place.js";

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
const SETTLED_MS = 250;
const isoOf = (ms) => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
const localOf = (ms) => isoOf(ms - new Date(ms).getTimezoneOffset() * MINUTE_MS).slice(0, 16);

/** Return the bar; `clientAt(asOf)` asks about another moment. `show()` tells where the page is, `learn()` its limits. */
export function timeBar(clientAt) {
  let since = Date.now() - 30 * DAY_MS, timer;
  const at = () => Date.parse(place().as_of) || Date.now();
  const range = el("input", { type: "range", "aria-label": "Moment", oninput: drag, onchange: settle });
  const field = el("input", { type: "datetime-local", "aria-label": "Moment, in your time zone", onchange: () => to(Date.parse(field.value)) });
  const step = (text, title, onclick) => el("button", { title, onclick }, text);
  const forth = [step("Next slot ›", "When a strategy was next due", () => toSlot(1)), step("+1 day", "A day later", () => to(at() + DAY_MS))];
  const bar = el("div", { class: "timebar", role: "group", "aria-label": "Time" }, range,
    step("−1 day", "A day earlier", () => to(at() - DAY_MS)), step("‹ Last slot", "When a strategy was due before", () => toSlot(-1)), forth, field);

  function to(ms, options) {
    if (ms) go({ as_of: ms >= Date.now() ? null : isoOf(Math.max(ms, since)) }, options);
  }
  function drag() {
    clearTimeout(timer);
    timer = setTimeout(settle, SETTLED_MS);
    range.ariaValueText = momentText(isoOf(+range.value));
  }
  function settle() {
    clearTimeout(timer);
    to(range.value === range.max ? Date.now() : +range.value, { replace: "as_of" in place() });
  }
  /** Go to the slot before, or to when the next is due: some seconds after its slot, which the first step skips. */
  async function toSlot(direction, from = at() - (direction < 0 && 1_000)) {
    const { view, name } = place();
    const rows = rowsOf(await clientAt(isoOf(from)).call("list_strategies")).filter((row) => view !== "strategy" || row.name === name);
    const moments = rows.map((row) => Date.parse(direction < 0 ? row.last_at : row.next_slot)).filter(Boolean);
    if (!moments.length) return;
    const next = direction < 0 ? Math.max(...moments) : Math.min(...moments);
    if (direction > 0 && next > from && next - at() < MINUTE_MS) return toSlot(direction, next);
    to(next);
  }

  bar.show = () => {
    const now = Date.now(), past = "as_of" in place();
    const step = Math.max(1, Math.round((now - since) / 500 / MINUTE_MS)) * MINUTE_MS;
    Object.assign(range, { min: since, max: since + Math.ceil((now - since) / step) * step, step });
    range.value = past ? at() : range.max;
    range.ariaValueText = past ? momentText(place().as_of) : "now";
    Object.assign(field, { min: localOf(since), max: localOf(now) });
    if (document.activeElement !== field) field.value = localOf(at());
    for (const button of forth) button.disabled = !past;
  };
  bar.learn = async () => {
    bar.ariaBusy = true;
    since = Date.parse((await clientAt().call("list_strategies")).since) || since;
    bar.ariaBusy = false;
    bar.show();
  };
  return bar;
}
