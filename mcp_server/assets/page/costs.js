import { el } from "./dom.js";

export function costsView() {
  return el("section", null, el("h1", null, "Costs"));
}
