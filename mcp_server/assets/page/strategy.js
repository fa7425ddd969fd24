import { el } from "./dom.js";

export function strategyView() {
  return el("section", null, el("h1", null, "Strategy"));
}
