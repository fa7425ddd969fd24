// The headlines that a run's sub-agents saw: strangers' text, so text nodes, and links to https alone.
import { el } from "./dom.js";
import { plural, timeOf } from "./format.js";

const isLink = (url) => typeof url === "string" && url.startsWith("https://");

function headlineItem({ headline, url, source, first_seen_at, withheld }) {
  const text = isLink(url) ? el("a", { href: url, rel: "noreferrer noopener", target: "_blank" }, headline) : headline;
  return el("li", text, el("span", { class: "muted small" }, ` ${source}, first seen `, first_seen_at ? timeOf(first_seen_at) : "at an unknown time",
    withheld && `, withheld: ${withheld}`));
}

/** Return what one call of `get_news` showed a sub-agent. */
export function newsSeen({ agent, asset, as_of, withheld, headlines, cut }) {
  const kept = Object.entries(withheld).map(([why, count]) => `${count} ${why.replaceAll("_", " ")}`);
  return [
    el("p", el("strong", agent), ` saw ${plural(headlines.length, "headline")}`, asset && ` about ${asset}`, as_of && [", as of ", timeOf(as_of)],
      kept.length > 0 && `; withheld: ${kept.join(", ")}`, cut && "; more than is kept here"),
    headlines.length > 0 && el("ul", { class: "news" }, headlines.map(headlineItem)),
  ];
}
