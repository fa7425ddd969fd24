// The equity of its record beside holding, and each figure beside its control.
import { priceChart } from "./chart.js";
import { rowsOf } from "./client.js";
import { command, el, figure } from "./dom.js";
import { evidenceText, number, percent, plural, share, usd } from "./format.js";

const within = (bounds, write) => (bounds ? `95 % interval ${write(bounds[0])} to ${write(bounds[1])}` : "too few for an interval");
const EVIDENCE = {
  too_few: ["warn", "Too few to say"], none_yet: ["warn", "No evidence of skill yet"], skill: ["good", "Evidence of skill"],
  no_skill: ["bad", "Its stop has ruled out an edge"], unknown: ["warn", "Unknown: candles are missing"],
  contaminated: ["warn", "None: the model may know what came next"],
};

/** Return all that is to be said of a record, whether there is evidence first. */
export const sentences = ({ summary, note }) => [summary.map((sentence) => el("p", sentence)), note && el("p", { class: "muted" }, note)];

/** Return what draws an answer of get_performance. */
export function recordPart(name, signal) {
  const box = el("div", { "data-key": "curve", "data-own": true });
  let made;
  return (answer) => {
    const curve = rowsOf(answer), signals = answer.judged + answer.pending + answer.void;
    const line = (key, label, tone) => ({ name: label, tone, points: curve.map((row) => [row.exit_time, row[key]]) });
    if (curve.length) {
      made ??= priceChart(box, { label: "Equity of the record and of holding, in per cent", signal });
      made.then((chart) => chart.setCurves([line("record_pct", "its record", "accent"), line("holding_pct", "holding", "muted")]));
    }
    if (!signals && !answer.left_out) return el("div", { class: "empty" },
      el("p", "There is no BUY or SELL to judge yet. Each is judged at its horizon, after costs."), command(`claude-trader run ${name}`));
    return [
      el("div", { class: "card sentences" }, sentences(answer)),
      curve.length ? [el("h3", "Equity of its record, and of holding the market meanwhile"), box] : null,
      el("h3", "Figures, each beside what chance or holding would have brought"), figures(answer),
      calibration(answer.calibration), agents(answer.agents),
    ];
  };
}

function figures(a) {
  const [tone, words] = EVIDENCE[a.evidence] ?? ["", a.evidence], judged = a.judged > 0;
  return el("dl", { class: "figures card" },
    figure("Evidence", el("span", { class: `mark ${tone}` }, words), evidenceText(a)),
    figure("Judged", number(a.judged), `${number(a.pending)} pending`, a.void > 0 && `${number(a.void)} cannot be judged`),
    judged && figure("Right", share(a.hit_rate),
      `${number(a.right)} of ${number(a.judged)}`, within(a.hit_rate_ci95, share), `any moment: ${share(a.base_rate)} (base rate)`),
    judged && figure("Mean net of a signal", percent(a.mean_net_pct),
      within(a.mean_net_ci95, percent), `holding at the same moments: ${percent(a.hold_pct)}`),
    a.twin && figure("Its rules alone", share(a.twin.hit_rate),
      `${number(a.twin.judged)} judged`, a.twin.difference_pct !== null && `the model brought ${percent(a.twin.difference_pct)} beside them`),
    figure("Confidence skill", number(a.brier_skill, 2), "above 0, its confidence says more than the base rate (Brier)"),
    figure("Decided", share(a.coverage_pct === null ? null : a.coverage_pct / 100),
      `of ${plural(a.runs, "run")}; ${plural(a.missed, "slot")} did not run`),
    figure("Cost", usd(a.cost_usd), a.cost_unknown > 0 && `${plural(a.cost_unknown, "run")} of unknown cost`,
      a.usd_per_right_signal > 0 && `${usd(a.usd_per_right_signal)} for each right signal`));
}

function table(caption, heads, rows) {
  const cells = (texts) => texts.map((text, at) => el("td", { "data-label": heads[at + 1] }, text));
  return el("div", { class: "scroll" }, el("table", { class: "rows" }, el("caption", caption),
    el("thead", el("tr", heads.map((head) => el("th", head)))),
    el("tbody", rows.map(([first, ...rest]) => el("tr", el("th", { scope: "row" }, first), cells(rest))))));
}

function calibration(c) {
  if (!c) return null;
  const caption = `Confidence stated, and how often it was right: off by ${share(c.error)} on average; chance alone explains ${share(c.error_by_chance)}.`;
  const row = ([stated, count, right, low, high]) => [share(stated), number(count), share(right), `${share(low)} to ${share(high)}`];
  return table(caption, ["Stated", "Signals", "Right", "Chance alone"], c.bins.map(row));
}

function agents(all) {
  const rows = Object.entries(all ?? {}).map(([name, { judged, agrees }]) => [name, number(judged), agrees === null ? "too few" : share(agrees)]);
  const caption = "Each sub-agent: how often the market bore out its leaning. Below 30, too few to say.";
  return rows.length > 0 && table(caption, ["Sub-agent", "Judged", "Bore out"], rows);
}
