import { el } from "./dom.js";

/** Ask for a token; `done()` when the server knows it. */
export function loginView({ done }) {
  return el("section", null, el("h1", null, "Sign in"), el("button", { type: "button", onclick: done }, "Try again"));
}

/** End the session, and show the page as one who is signed out sees it. */
export async function signOut() {
  await fetch("/logout", { method: "POST" });
  location.reload();
}
