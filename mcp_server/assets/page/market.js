import { el } from "./dom.js";

export function marketView() {
  return el("section", null, el("h1", null, "Market"));
}
