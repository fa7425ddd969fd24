// A text field that offers what fits while one types: the combobox of the ARIA practices.
import { pause } from "./client.js";
import { el, fill } from "./dom.js";

let boxes = 0;

/** `find(text, signal)` promises [{value, about}]; `choose(value)` gets what is taken: an offer, or any text by Enter. */
export function combobox({ label, value = "", placeholder, find, choose, signal }) {
  const id = `choice-${(boxes += 1)}`, hint = el("small", { role: "status" });
  const list = el("ul", { id, role: "listbox", "aria-label": label, hidden: true });
  let offers = [], active = -1, kept, asked = new AbortController();

  const input = el("input", {
    type: "text", role: "combobox", "aria-autocomplete": "list", "aria-controls": id, "aria-expanded": "false",
    autocomplete: "off", spellcheck: "false", maxlength: 200, value, placeholder, onkeydown: key, oninput: offer, onfocus: offer,
    onblur: leave,
  });
  const node = el("label", { class: "choice" }, label, input, list, hint);

  function show(found) {
    offers = found;
    active = -1;
    list.hidden = !offers.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
    fill(list, offers.map((one, at) => el("li", {
      id: `${id}-${at}`, role: "option", "aria-selected": "false",
      onmousedown: (event) => (event.preventDefault(), take(one.value)),
    }, el("b", one.value), one.about ? el("small", one.about) : null)));
    mark();
  }
  function mark() {
    [...list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === active)));
    list.children[active]?.scrollIntoView({ block: "nearest" });
    if (active < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", `${id}-${active}`);
  }
  function close() {
    asked.abort();
    fill(hint);
    show([]);
  }
  function leave() {
    close();
    if (kept !== undefined) input.value = kept;
  }
  function take(chosen) {
    close();
    choose(chosen.trim(), input);
  }
  async function offer() {
    asked.abort();
    asked = new AbortController();
    const mine = AbortSignal.any([asked.signal, signal]);
    try {
      await pause(250, mine);
      show(await find(input.value.trim(), mine));
      fill(hint);
    } catch (error) {
      if (mine.aborted) return;
      show([]);
      fill(hint, error.message);
    }
  }
  function key(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!offers.length) offer();
      const count = offers.length + 1; // the text itself is one of them
      active = ((active + 1 + (event.key === "ArrowDown" ? 1 : -1) + count) % count) - 1;
      mark();
    } else if (event.key === "Enter") take(offers[active]?.value ?? input.value);
    else if (event.key === "Escape" && !list.hidden) close();
    else return;
    event.preventDefault();
  }
  return Object.assign(node, { set: (text) => (input.value = kept = text) });
}
