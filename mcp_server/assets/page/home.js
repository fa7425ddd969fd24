import { el } from "./dom.js";

export function homeView() {
  return el("section", null, el("h1", null, "Strategies"));
}
