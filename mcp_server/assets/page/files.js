// The files of a strategy as readable text, its versions, and what differs between two of them.
import { el, notice, patch } from "./dom.js";
import { momentText, timeOf } from "./format.js";

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** Return each value of nested JSON as [path, text]. */
function flat(value, path = "") {
  if (!isObject(value)) return [[path, [value].flat().join(", ")]];
  return Object.entries(value).flatMap(([key, inner]) => flat(inner, path ? `${path}.${key}` : key));
}

const listing = (value) =>
  el("dl", { class: "listing card" }, flat(value).map(([key, text]) => [el("dt", key), el("dd", text)]));

/** Return the values of both files, by file and path. */
const both = (files) =>
  new Map(["config", "agents"].flatMap((file) => flat(files[file]).map(([key, text]) => [`${file}.json ${key}`, text])));

/** Return what was taken away and what was added, for each value that two versions do not share. */
function differenceOf(old, fresh) {
  const changed = [...new Set([...old.keys(), ...fresh.keys()])].filter((key) => old.get(key) !== fresh.get(key));
  if (!changed.length) return el("p", "These two are the same.");
  const was = (key) => old.has(key) && el("del", old.get(key)), is = (key) => fresh.has(key) && el("ins", fresh.get(key));
  return el("dl", { class: "listing" }, changed.map((key) => [el("dt", key), el("dd", was(key), is(key))]));
}

const agentFile = ([name, agent]) => el("details", { class: "card", "data-key": name },
  el("summary", el("strong", name), ` ${agent.description ?? ""}`), listing(agent));

/** Return what draws an answer of read_strategy. */
export function filesPart(call) {
  const difference = el("div", { "data-key": "difference", "data-own": true });
  let from, to;

  async function compare(current) {
    const read = (version) => (version === current.version ? current : call("read_strategy", { version }));
    try {
      const [old, fresh] = await Promise.all([read(from), read(to)]);
      patch(difference, differenceOf(both(old), both(fresh)));
    } catch (error) {
      patch(difference, notice(error));
    }
  }

  return (answer) => {
    const versions = [[answer.version, null], ...(answer.earlier ?? [])];
    const choice = (label, chosen, set) => {
      const onchange = ({ target }) => (set(target.value), compare(answer));
      return el("label", label, el("select", { onchange }, versions.map(([version, written]) =>
        el("option", { value: version, selected: version === chosen }, `${written ? momentText(written) : "now in force"} (${version})`))));
    };
    [from, to] = [from ?? versions[1]?.[0], to ?? answer.version];
    if (versions.length > 1) compare(answer);
    return [
      answer.note && el("p", { class: "muted" }, answer.note),
      el("h3", "config.json"), listing(answer.config),
      el("h3", "Sub-agents"), Object.entries(answer.agents).map(agentFile),
      Object.keys(answer.agents).length === 0 && el("p", { class: "muted" }, "None: its rules decide."),
      el("h3", "Versions"),
      el("ol", { class: "versions" }, versions.map(([version, written]) => el("li", el("code", version), " ", written ? timeOf(written) : "now in force"))),
      versions.length > 1 && el("div", { class: "fields" },
        choice("What changed from", from, (version) => (from = version)), choice("to", to, (version) => (to = version))),
      difference,
    ];
  };
}
