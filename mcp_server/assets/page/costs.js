// What runs cost by day and by strategy. Unknown is never shown as nothing.
import { rowsOf } from "./client.js";
import { command, el, figure, patch, svg } from "./dom.js";
import { number, plural, usd } from "./format.js";
import { budgetBar } from "./home.js";
import { go, hrefOf } from "./place.js";

const SPANS = { 7: "7 days", 30: "30 days", 90: "90 days", 366: "year" };

/** Add up rows by one of their columns. */
function sumsBy(rows, column) {
  const sums = new Map();
  for (const row of rows) {
    const sum = sums.get(row[column]) ?? { key: row[column], runs: 0, cost_usd: null, unknown: 0, reserved_usd: 0, replay_usd: 0 };
    for (const name of ["runs", "unknown", "replay_usd"]) sum[name] += row[name];
    sum.reserved_usd = row.reserved_usd == null || sum.reserved_usd == null ? null : sum.reserved_usd + row.reserved_usd;
    if (row.cost_usd != null) sum.cost_usd = (sum.cost_usd ?? 0) + row.cost_usd;
    sums.set(row[column], sum);
  }
  return [...sums.values()];
}

/** Return the rows of the days that are told whole, and the first of them: a long answer leaves out the earliest rows. */
function wholeDays({ since, as_of, runs, replay_usd }, rows) {
  const total = (name) => rows.reduce((sum, row) => sum + row[name], 0);
  const earliest = rows.at(-1)?.day, whole = total("runs") === runs && Math.abs(total("replay_usd") - replay_usd) < 1e-6;
  if (whole || as_of.startsWith(earliest)) return [rows, since];
  return [rows.filter((row) => row.day > earliest), new Date(Date.parse(earliest) + 86_400_000).toISOString().slice(0, 10)];
}

/** List every day of the answer (UTC), oldest first, those without a run too. */
function daysOf({ since, as_of }, sums) {
  const known = new Map(sums.map((sum) => [sum.key, sum])), days = [];
  for (let at = Date.parse(since); at <= Date.parse(as_of); at += 86_400_000) {
    const key = new Date(at).toISOString().slice(0, 10);
    days.push(known.get(key) ?? { key, runs: 0, cost_usd: 0, unknown: 0, reserved_usd: 0, replay_usd: 0 });
  }
  return days;
}

const mostOf = (reserved) => (reserved == null ? "no limit is recorded" : `at most ${usd(reserved)}`);
const costWords = ({ runs, cost_usd, unknown, reserved_usd }) =>
  `${usd(cost_usd)} for ${plural(runs, "run")}${unknown ? `; ${number(unknown)} of unknown cost, ${mostOf(reserved_usd)}` : ""}`;

/** Draw a bar for each day: what is known filled, what unknown costs may be at most as an outline. */
function barsOf(days, budget) {
  const top = Math.max(...days.map((day) => (day.cost_usd ?? 0) + day.reserved_usd), 0), lined = budget != null && budget <= 2 * top;
  const most = Math.max(top, lined ? budget : 0) || 1, y = (value) => 100 - (100 * value) / most;
  const bar = (at, from, to, kind) => svg("rect", { class: kind, x: at + 0.12, width: 0.76, y: y(to), height: Math.max(y(from) - y(to), 0) });
  const daily = `the budget of ${usd(budget)} a day.`;
  const limit = budget == null ? "" : lined ? ` The dashed line is ${daily}` : ` No day comes near half of ${daily}`;
  return el("figure", { class: "bars" },
    el("figcaption", { class: "muted small" }, `Each day (UTC); the full height is ${usd(most)}. Outlined: the most that runs of unknown cost may have cost.${limit}`),
    svg("svg", { viewBox: `0 0 ${days.length} 100`, preserveAspectRatio: "none", role: "img", "aria-label": `A bar for each of ${plural(days.length, "day")}; the table below has the figures.` },
      days.map((day, at) => svg("g", svg("title", `${day.key}: ${costWords(day)}`), svg("rect", { class: "hit", x: at, width: 1, y: 0, height: 100 }),
        bar(at, 0, day.cost_usd ?? 0, "known"), bar(at, day.cost_usd ?? 0, (day.cost_usd ?? 0) + day.reserved_usd, "reserved"))),
      lined && svg("line", { x1: 0, x2: days.length, y1: y(budget), y2: y(budget) })),
    el("div", { class: "row apart muted small" }, el("span", days[0].key), el("span", days.at(-1).key)));
}

function tableOf(caption, first, sums, name) {
  const replayed = sums.some((sum) => sum.replay_usd);
  const head = [first, "Runs", "Known cost", "Cost unknown", "which is at most", replayed && "Replays, at most"].filter(Boolean);
  const cells = ({ runs, cost_usd, unknown, reserved_usd, replay_usd }) => [
    number(runs), usd(cost_usd), unknown ? plural(unknown, "run") : "none",
    !unknown ? "–" : reserved_usd == null ? "not recorded" : usd(reserved_usd), replay_usd ? usd(replay_usd) : "–",
  ].slice(0, head.length - 1);
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption, "data-key": caption },
    el("table", { class: "rows" }, el("thead", el("tr", head.map((text, at) => el("th", { scope: "col", class: at && "num" }, text)))),
      el("tbody", sums.map((sum) => el("tr", { "data-key": sum.key }, el("th", { scope: "row" }, name(sum.key)),
        cells(sum).map((text, at) => el("td", { class: "num", "data-label": head[at + 1] }, text)))))));
}

export function costsView({ client, place, live }) {
  const days = SPANS[place.days] ? Number(place.days) : 30, content = el("div", { class: "card skeleton tall" }, "Loading …");
  const option = ([value, text]) => el("option", { value, selected: Number(value) === days }, text);
  const span = el("select", { onchange: () => go({ days: span.value }) }, Object.entries(SPANS).map(option));
  const load = (signal) => Promise.all([client.call("get_costs", { days }, { signal }), client.call("list_strategies", {}, { signal })]);
  live(load, ([costs, home]) => {
    const [rows, since] = wholeDays(costs, rowsOf(costs)), strategies = sumsBy(rows, "strategy");
    const every = daysOf({ ...costs, since }, sumsBy(rows, "day"));
    const atMost = (sum) => (sum.cost_usd ?? 0) + sum.reserved_usd, dearest = (one, other) => atMost(other) - atMost(one);
    const budget = home.budget_usd_per_day;
    content.className = "";
    patch(content, el("dl", { class: "figures card", "data-key": "totals" },
      figure("Spent today", budget == null ? usd(home.spent_today_usd) : budgetBar(home.spent_today_usd, budget), costs.unknown && "an unknown cost counts as the most it can be"),
      figure(`Known cost, ${SPANS[days]}`, usd(costs.cost_usd), `${plural(costs.runs, "run")} in all`),
      figure("Cost unknown", costs.unknown ? plural(costs.unknown, "run") : "none", costs.unknown && `${mostOf(costs.reserved_usd)} together`),
      costs.running > 0 && figure("Under way", plural(costs.running, "run")),
      costs.replay_usd > 0 && figure(`Replays, ${SPANS[days]}`, usd(costs.replay_usd), "at most; beside all this, and in no budget of a day")),
    costs.runs || costs.replay_usd ? [barsOf(every, budget), el("h2", since === costs.since ? "By strategy" : `By strategy, since ${since}`),
      tableOf("Costs by strategy", "Strategy", strategies.sort(dearest), (name) => el("a", { href: hrefOf({ view: "strategy", name }) }, name)),
      el("h2", "By day"),
      tableOf("Costs by day (UTC)", "Day", every.filter((day) => day.cost_usd !== 0 || day.unknown || day.replay_usd).reverse(),
        (day) => el("time", { datetime: day }, day)),
      el("p", { class: "muted small" }, "Days that cost nothing are left out.")]
      : el("div", { class: "empty", "data-key": "empty" }, el("strong", "No run is recorded in that time."), el("p", "This runs active strategies on schedule:"), command("claude-trader up")),
    costs.note && rows.length > 0 && el("p", { class: "muted small", "data-key": "note" }, costs.note));
  }, { body: content });
  return el("section", el("h1", "Costs"), el("div", { class: "fields" }, el("label", "Show the last", span)), content);
}
