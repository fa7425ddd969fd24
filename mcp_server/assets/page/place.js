// Where the reader is: #/, #/strategy/NAME?tab=…, #/market?symbol=…, #/costs, each with as_of=ISO.

/** Return the place: {view: "home"|"strategy"|…, name, as_of where it is in the past, and what else the address says}. */
export function place() {
  const [path, ...query] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, ...name] = path.split("/");
  const { as_of, ...rest } = Object.fromEntries(new URLSearchParams(query.join("?")));
  if (Date.parse(as_of) < Date.now()) rest.as_of = as_of;
  return { ...rest, view: view || "home", name: decoded(name.join("/")) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Return the address of a place: another view keeps only the moment, the same view keeps all that is not changed. */
export function hrefOf(change) {
  const here = place();
  const other = change.view && (change.view !== here.view || (change.name ?? "") !== here.name);
  const { view, name, ...rest } = { ...(other ? { as_of: here.as_of } : here), ...change };
  const query = new URLSearchParams(Object.entries(rest).filter(([, value]) => value != null && value !== ""));
  return "#/" + (view === "home" ? "" : view) + (name ? "/" + encodeURIComponent(name) : "") + (query.size ? `?${query}` : "");
}

/** Go to a place: go({view: "strategy", name}), go({tab: "runs"}); `replace` leaves no step for the back button. */
export function go(change, { replace = false } = {}) {
  const href = hrefOf(change);
  if (href === (location.hash || "#/")) return;
  history[replace ? "replaceState" : "pushState"](null, "", href);
  dispatchEvent(new Event("placechange"));
}

/** Call a function with the place whenever it changes. */
export function onPlace(f, { signal } = {}) {
  for (const name of ["hashchange", "placechange"]) addEventListener(name, () => f(place()), { signal });
}
