// The page's shell: navigation, the moment, the connection, problems, and one view at a time.
import { SignedOut, Unreachable, httpClient } from "./client.js";
import { costsView } from "./costs.js";
import { el, fill, notice } from "./dom.js";
import { countFrom, momentText, tellAgo, timeOf } from "./format.js";
import { homeView } from "./home.js";
import { connection, live } from "./live.js";
import { loginView, signOut } from "./login.js";
import { marketView } from "./market.js";
import { go, hrefOf, onPlace, place } from "./place.js";
import { timeBar } from "./slider.js";
import { strategyView } from "./strategy.js";

const VIEWS = { home: homeView, strategy: strategyView, market: marketView, costs: costsView };
const LINKS = [["home", "Strategies"], ["market", "Market"], ["costs", "Costs"]];

/** Start the page. A view may set `onplace` on its element to follow its own part of the address without a new start. */
export function startPage() {
  const part = (id) => document.getElementById(id);
  const [main, problems, status, past, nav] = ["main", "problems", "status", "past", "nav"].map(part);
  const clientAt = (asOf) => httpClient({ asOf });
  const bar = timeBar({ clientAt, problem: (error) => tell("slider", error) });
  const clockButton = part("clock");
  let stop = new AbortController(), shown = {}, view;

  function tell(key, error) {
    if (error instanceof SignedOut) return signIn();
    problems.querySelector(`[data-key="${key}"]`)?.remove();
    if (!error) return;
    const box = notice(error.problem ? error : { problem: "Something on this page went wrong.", remedy: `Reload it. (${error.message})` });
    box.dataset.key = key;
    problems.append(box);
  }

  function signIn() {
    stop.abort();
    mount(loginView({ done: () => (localStorage.setItem("signed-in", 1), location.reload()) }));
  }

  function mount(fresh) {
    main.style.minHeight = `${main.offsetHeight}px`; // until it has been drawn again, nothing jumps
    fill(main, (view = fresh));
    fill(problems);
    setTimeout(() => (main.style.minHeight = ""), 1_000);
  }

  function open(at) {
    const same = at.view === shown.view && at.name === shown.name;
    frame(at);
    if (same && at.as_of === shown.as_of && view.onplace && !stop.signal.aborted) view.onplace(at);
    else start(at);
    shown = at;
    const heading = main.querySelector("h1");
    document.title = `${heading?.textContent ?? "Page"} · Claude Trader`;
    if (same || !heading) return;
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  function start(at) {
    let pieces = 0;
    const make = Object.hasOwn(VIEWS, at.view) ? VIEWS[at.view] : unknownView;
    stop.abort();
    const { signal } = (stop = new AbortController());
    const past = Boolean(at.as_of);
    const bound = (load, draw, options) => {
      const key = `live ${pieces++}`;
      return live(load, draw, { signal, once: past, problem: (error) => signal.aborted || tell(key, error), ...options });
    };
    mount(make({ client: clientAt(at.as_of), place: at, asOf: at.as_of ?? null, live: bound, signal }));
  }

  function frame(at) {
    fill(nav, LINKS.map(([name, text]) =>
      el("a", { href: hrefOf({ view: name, name: null }), class: name, "aria-current": at.view === name && "page" }, text)));
    const moment = at.as_of && !Number.isNaN(Date.parse(at.as_of)) ? at.as_of : null;
    countFrom(moment);
    document.body.classList.toggle("in-past", Boolean(moment));
    fill(part("clock-text"), moment ? momentText(moment) : "Live");
    past.hidden = !moment;
    if (moment)
      fill(past, el("p", null, "You see what was known on ", timeOf(moment), "."),
        el("button", { type: "button", onclick: () => go({ as_of: null }) }, "Back to now"));
    bar.show();
  }

  function openBar() {
    const opened = clockButton.getAttribute("aria-expanded") !== "true";
    clockButton.setAttribute("aria-expanded", opened);
    fill(part("time"), opened && bar);
    if (opened) bar.learn().catch((error) => tell("slider", error));
  }

  connection.addEventListener("change", () => {
    status.className = connection.lost ? "lost" : "back";
    fill(status, connection.lost ? "Connection lost. Trying again…" : "Connected again.");
    setTimeout(() => connection.lost || fill(status), 4_000);
  });
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    if (event.reason?.name === "AbortError") return;
    if (event.reason instanceof Unreachable) connection.set(true);
    else tell("page", event.reason);
  });
  part("skip").addEventListener("click", (event) => (event.preventDefault(), main.focus()));
  clockButton.addEventListener("click", openBar);
  setInterval(() => document.hidden || tellAgo(), 10_000);
  if (localStorage.getItem("signed-in"))
    part("session").append(el("button", { type: "button", class: "quiet", onclick: () => {
      localStorage.removeItem("signed-in");
      signOut();
    } }, "Sign out"));
  onPlace(open);
  open(place());
}

function unknownView() {
  return el("section", null, el("h1", null, "There is no such page"),
    el("p", null, el("a", { href: hrefOf({ view: "home", name: null }) }, "See all strategies")));
}

if (document.documentElement.dataset.start === "page") startPage();
