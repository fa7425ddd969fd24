// Signing in and out: the browser posts both forms by itself, so no script ever holds the token or the session.
import { el, fill, notice } from "./dom.js";

/** Return what asks for a token; it says why the last one was refused. */
export function loginView() {
  const button = el("button", { class: "primary" }, "Sign in");
  const field = el("input", {
    name: "token", type: "password", autocomplete: "current-password", required: true, maxlength: 4096,
    autocapitalize: "none", spellcheck: "false", "aria-describedby": "refused where",
  });
  const form = el("form", { method: "post", action: "/login", class: "fields" },
    el("input", { autocomplete: "username", value: "Claude Trader", hidden: true, "aria-label": "Name" }), // for password managers
    el("label", null, "Token", field), button);
  form.onsubmit = () => (form.action = `/login${location.hash}`); // the answer leads back to the same place
  queueMicrotask(() => field.focus());
  return el("section", { class: "card sign-in" },
    el("h1", null, "Sign in"),
    el("div", { id: "refused", role: "alert" }, refusal(button)),
    form,
    el("p", { id: "where", class: "muted" }, "Use a token of this server. Whoever set it up has it: it is ", el("code", null, "TRADER_TOKEN"), " or one of ",
      el("code", null, "TRADER_TOKENS"), " there. You stay signed in for 30 days, and this page only reads, whatever the token allows."),
    !isSecureContext && notice({ problem: "This connection is not encrypted.", remedy: "Others in your network can read the token. Use https." }, "warn"));
}

/** Say why signing in was refused, as the server wrote it into the address, and take it out of there. */
function refusal(button) {
  const query = new URLSearchParams(location.search);
  if (!query.has("refused")) return null;
  history.replaceState(null, "", location.pathname + location.hash);
  if (query.get("refused") !== "wait") return notice({ problem: "The server does not know this token.", remedy: "Check that you copied all of it." });
  const seconds = Math.min(Math.max(Math.ceil(query.get("seconds")) || 1, 1), 600);
  const box = el("div", null, notice({ problem: "There were too many attempts.", remedy: `Try again in ${seconds} s.` }, "warn"));
  button.disabled = true;
  setTimeout(() => {
    button.disabled = false;
    fill(box, notice({ problem: "You can try again now." }, "good"));
  }, seconds * 1_000);
  return box;
}

/** Return a button that ends the session, or null where there is none. A cookie that allows nothing tells of it. */
export function signOutForm() {
  if (!document.cookie.includes("trader_signed_in=")) return null;
  const form = el("form", { method: "post", action: "/logout" }, el("button", { class: "quiet" }, "Sign out"));
  form.onsubmit = () => {
    fill(document.getElementById("main")); // the back button brings no figures back
    addEventListener("pageshow", () => location.reload());
  };
  return form;
}
