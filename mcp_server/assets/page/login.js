// Signing in and out: the browser posts both forms, so no script holds the token or the session.
import { pause } from "./client.js";
import { el, fill, notice } from "./dom.js";

const MARK = "trader_signed_in="; // a cookie that allows nothing and tells scripts of the session, which they cannot see
const isSignedIn = () => document.cookie.includes(MARK);

/** Return what asks for a token; it says why the last one was refused. */
export function loginView() {
  const button = el("button", { class: "primary" }, "Sign in");
  const field = el("input", {
    name: "token", type: "password", autocomplete: "current-password", required: true,
    autocapitalize: "none", spellcheck: "false", "aria-describedby": "refused where",
  });
  const form = el("form", { method: "post", action: "/login", class: "fields" },
    el("input", { autocomplete: "username", value: "Claude Trader", hidden: true, "aria-label": "Name" }), // for password managers
    el("label", "Token", field), button);
  form.onsubmit = () => (form.action = `/login${location.hash}`); // the answer leads back to the same place
  queueMicrotask(() => field.focus());
  document.cookie = `${MARK}; Max-Age=0; Path=/`; // it has ended; a new one is that of another tab
  document.onvisibilitychange = () => isSignedIn() && location.reload();
  return el("section", { class: "card sign-in" },
    el("h1", "Sign in"),
    el("div", { id: "refused", role: "alert" }, refusal(button)),
    form,
    el("p", { id: "where", class: "muted" }, "Whoever set up this server has it: it is ", el("code", "TRADER_TOKEN"), " or one of ",
      el("code", "TRADER_TOKENS"), ". You stay signed in for 30 days. This page only reads, whatever the token allows."),
    !isSecureContext && notice({ problem: "This connection is not encrypted.", remedy: "Others in your network can read the token. Use https." }, "warn"));
}

/** Say why signing in was refused, as the address says, and take it out of there. */
function refusal(button) {
  const query = new URLSearchParams(location.search), why = query.get("refused");
  if (!why) return null;
  history.replaceState(null, "", location.pathname + location.hash);
  if (why !== "wait") return notice({ problem: "The server does not know this token.", remedy: "Check that you copied all of it." });
  const seconds = Math.min(Math.abs(query.get("seconds") | 0) || 9, 99);
  const box = el("div", notice({ problem: "There were too many attempts.", remedy: `Try again in ${seconds} s.` }, "warn"));
  button.disabled = true;
  pause(seconds * 1_000).then(() => {
    button.disabled = false;
    fill(box, notice({ problem: "You can try again now." }, "good"));
  });
  return box;
}

/** Return a button that ends the session, or null where there is none. */
export function signOutForm() {
  if (!isSignedIn()) return null;
  const form = el("form", { method: "post", action: "/logout" }, el("button", { class: "quiet" }, "Sign out"));
  form.onsubmit = () => {
    fill(document.getElementById("main")); // the back button brings no figures back
    addEventListener("pageshow", () => location.reload());
  };
  return form;
}
