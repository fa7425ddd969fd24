// The page's shell: navigation, the moment, the connection, problems, and one view at a time.
import { SignedOut, Unreachable, httpClient, pause } from "./client.js";
import { costsView } from "./costs.js";
import { el, fill, notice } from "./dom.js";
import { countFrom, momentText, tellAgo, timeOf } from "./format.js";
import { homeView } from "./home.js";
import { connection, live } from "./live.js";
import { loginView, signOutForm } from "./login.js";
import { marketView } from "./market.js";
import { go, hrefOf, onPlace, place } from "./place.js";
import { timeBar } from "./slider.js";
import { strategyView } from "./strategy.js";

const VIEWS = { __proto__: null, home: homeView, strategy: strategyView, market: marketView, costs: costsView };
const LINKS = { home: "Strategies", market: "Market", costs: "Costs" };
const STALE_MS = 600; // a view of another moment waits so long for its first answer; until then the former one stays

/** Start the page. A view that sets `onplace` follows its own part of the address without a new start. */
function startPage() {
  const part = (id) => document.getElementById(id);
  const main = part("main"), clock = part("clock");
  const bar = timeBar((asOf) => httpClient({ asOf }));
  let shown = {}, stop = new AbortController(), view;

  /** Show what is wrong above the view; each source has a key, and null takes its problem back. */
  function tell(key, error) {
    const former = part("problems").querySelector(`[data-key="${key}"]`);
    if (former && former.dataset.text === error?.message) return;
    former?.remove();
    if (!error) return;
    const box = notice(error.problem ? error : { problem: "Something on this page went wrong.", remedy: `Reload it. (${error.message})` });
    box.dataset.key = key;
    box.dataset.text = error.message;
    part("problems").append(box);
  }

  function signIn() {
    stop.abort();
    if (view.matches(".sign-in")) return; // what is typed there stays
    fill(part("session"));
    mount(loginView());
    document.title = "Sign in · Claude Trader";
  }

  function mount(fresh) {
    main.style.minHeight = `${main.offsetHeight}px`; // nothing jumps until it is filled
    fill(main, (view = fresh));
    setTimeout(() => (main.style.minHeight = ""), 1_000);
  }

  function open(at) {
    const same = at.view === shown.view && at.name === shown.name;
    const first = !shown.view, follows = same && at.as_of === shown.as_of && view.onplace && !stop.signal.aborted;
    shown = at;
    frame(at);
    if (follows) return view.onplace(at);
    start(at, same);
    if (same) return;
    const heading = main.querySelector("h1");
    document.title = `${heading?.textContent ?? "Page"} · Claude Trader`;
    if (first || !heading) return;
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  function start(at, same) {
    stop.abort();
    const { signal } = (stop = new AbortController());
    fill(part("problems"));
    let pieces = 0, drawn;
    const first = new Promise((done) => (drawn = done));
    const alive = (load, draw, { body, ...options } = {}) => { // `body` has the placeholders of what is loaded
      const key = `piece ${pieces++}`;
      const drawing = (answer) => (draw(answer), drawn());
      const failed = (error) => body?.classList.toggle("failed", Boolean(error));
      const problem = (error) => signal.aborted || (failed(error), tell(key, error));
      return live(load, drawing, { signal, once: Boolean(at.as_of), problem, ...options }).catch((error) => (failed(error), Promise.reject(error)));
    };
    const fresh = (VIEWS[at.view] ?? unknownView)({ client: httpClient({ asOf: at.as_of }), place: at, asOf: at.as_of ?? null, live: alive, signal });
    if (!same) mount(fresh);
    else Promise.race([first, pause(STALE_MS)]).then(() => signal.aborted || mount(fresh));
  }

  /** Show where the reader is, and when. */
  function frame({ view, as_of }) {
    const current = { [view]: "page", ...(view === "strategy" && { home: "true" }) };
    const href = (name) => hrefOf({ view: name, name: null });
    fill(part("nav"), Object.entries(LINKS).map(([name, text]) => el("a", { href: href(name), "aria-current": current[name] }, text)));
    part("brand").href = href("home");
    countFrom(as_of);
    document.body.classList.toggle("in-past", Boolean(as_of));
    fill(part("moment"), as_of ? momentText(as_of) : "Live");
    part("past").hidden = !as_of;
    fill(part("known"), as_of && ["You see what was known on ", timeOf(as_of), "."]);
    bar.show();
  }

  connection.tell = () => {
    const status = part("status"), lost = connection.lost;
    status.className = lost ? "lost" : "";
    fill(status, lost ? "Connection lost. Trying again…" : "Connected again.");
    if (!lost) pause(4_000).then(() => connection.lost || fill(status));
  };
  addEventListener("unhandledrejection", (event) => {
    const error = event.reason;
    event.preventDefault();
    if (error instanceof SignedOut) signIn();
    else if (error instanceof Unreachable) connection.set(true);
    else if (error?.name !== "AbortError") tell("page", error);
  });
  addEventListener("error", (event) => event.error && tell("page", event.error));
  part("skip").onclick = (event) => (event.preventDefault(), main.focus());
  part("back").onclick = () => go({ as_of: null });
  clock.onclick = () => {
    const opened = clock.ariaExpanded !== "true";
    clock.ariaExpanded = opened;
    fill(part("time"), opened && bar);
    if (opened) return bar.learn();
  };
  setInterval(() => document.hidden || tellAgo(), 10_000);
  fill(part("session"), signOutForm());
  onPlace(open);
  open(place());
}

function unknownView() {
  return el("section", el("h1", "There is no such page"),
    el("p", el("a", { href: hrefOf({ view: "home", name: null }) }, "See all strategies")));
}

if (document.documentElement.dataset.start === "page") startPage();
