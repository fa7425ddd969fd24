// The home page: what is wrong, each strategy as it stands, the examples, and what to do first.
import { rowsOf } from "./client.js";
import { command, el, figure, notice, patch } from "./dom.js";
import { agoOf, plural, scheduleText, signalOf, timeOf, usd } from "./format.js";
import { hrefOf } from "./place.js";
import { kindText } from "./slots.js";
import { wordsOf } from "./words.js";

const ADD = "claude-trader strategies add ";

/** Return a problem with what to do about it; commands in the remedy can be copied. */
function problemOf({ problem, remedy }, at) {
  const parts = remedy.split("`"), box = notice({ problem, remedy: parts.filter((_, part) => part % 2 === 0).join("") });
  box.dataset.key = `problem ${at} ${problem}`;
  box.append(...parts.filter((_, part) => part % 2).map(command));
  return box;
}

const stateMark = (kind, text) => el("span", { class: `mark ${kind}` }, text);

function stateOf({ status, next_slot }, { running, budget_usd_per_day: budget }) {
  if (!status) return budget == null ? stateMark("", "not kept") : stateMark("bad", "broken");
  if (status !== "active") return stateMark("", status);
  if (budget == null) return stateMark("good", "active");
  if (running == null) return stateMark("warn", "no scheduler");
  return next_slot ? stateMark("good", "scheduled") : stateMark("warn", "not scheduled yet");
}

function lastOf({ last_at, last_status, last_signal }) {
  if (!last_at) return el("span", { class: "muted" }, last_status ?? "none yet");
  const ended = last_signal ? signalOf(last_signal) : stateMark(last_status === "running" ? "good" : "warn", kindText(last_status));
  return [ended, el("small", agoOf(last_at), " · ", timeOf(last_at))];
}

/** Return a bar of a day's budget, with its figures as words. */
export function budgetBar(spent, budget) {
  if (spent == null) return ["unknown", el("small", `at most ${usd(budget)} a day`)];
  const text = `${usd(spent)} of ${usd(budget)}`;
  return [text, el("meter", { max: budget, value: spent, high: budget * 0.8, optimum: 0, "aria-label": `Spent today: ${text}`, title: text })];
}

const wayOf = ({ engine, trading_pair, schedule }, ...more) =>
  [engine === "claude" ? "By Claude" : "By rules", trading_pair, ...more, schedule && scheduleText(schedule)].filter(Boolean).join(" · ");

function cardOf(row, answer) {
  const broken = !row.status;
  return el("li", { class: "card", "data-key": row.name },
    el("div", { class: "row apart" }, el("h2", el("a", { href: hrefOf({ view: "strategy", name: row.name }) }, row.name)), stateOf(row, answer)),
    el("p", { class: broken ? "" : "muted small" }, broken && answer.budget_usd_per_day != null ? "Its files are not valid. What is wrong with them stands on top." : row.description),
    !broken && el("p", { class: "small" }, wayOf(row, row.timeframe, row.exchange)),
    el("dl", { class: "figures" },
      figure(row.last_signal ? "Last signal" : "Last run", lastOf(row)),
      row.next_slot && figure("Next run", agoOf(row.next_slot), timeOf(row.next_slot)),
      figure("Spent today", usd(row.spent_today_usd), `${usd(row.spent_month_usd)} this month`)),
    !broken && el("p", { class: "small" }, el("strong", "Record: "), row.record ?? "no run on schedule yet."));
}

const exampleOf = (row) => el("li", { class: "card", "data-key": `example ${row.name}` },
  el("h3", row.name), el("p", { class: "muted small" }, row.description), el("p", { class: "small" }, wayOf(row)), command(ADD + row.name));

function firstSteps(example) {
  return el("div", { class: "empty" },
    el("strong", "Your home has no strategy yet."), el("p", "Copy an example into it:"), command(ADD + (example?.name ?? "NAME")),
    el("p", "or let Claude design one from your idea:"), command('claude-trader build "buy bitcoin when it is oversold"'),
    el("p", "Then let it run on schedule:"), command("claude-trader up"));
}

const noneThen = () =>
  el("p", { class: "empty", "data-key": "none" }, "No strategy is known of that moment. Move on in time, or go back to now.");

function totals(answer, own, past) {
  const runs = answer.running, budget = answer.budget_usd_per_day;
  const underWay = plural(runs ?? 0, "run") + " under way", state = past ? underWay : runs ? `running, ${underWay}` : "running";
  const scheduler = runs == null ? stateMark("warn", "not running") : stateMark("good", state);
  return el("dl", { class: "figures card" },
    (!past || runs != null) && figure(past ? "At that moment" : "Scheduler", scheduler),
    figure("Strategies", plural(own.filter((row) => row.status === "active").length, "active one"), `of ${own.length}`),
    figure("Spent today", budget == null ? usd(answer.spent_today_usd) : budgetBar(answer.spent_today_usd, budget)),
    figure("Spent this month", usd(answer.spent_month_usd)));
}

export function homeView({ client, asOf, live }) {
  const content = el("div", { "aria-busy": "true" },
    el("div", { class: "card skeleton figures" }, "Loading …"), el("ul", { class: "cards" }, [1, 2, 3].map(() => el("li", { class: "card skeleton tall" }))));
  live((signal) => client.call("list_strategies", {}, { signal }), (answer) => {
    const rows = rowsOf(answer), own = rows.filter((row) => row.origin === "home"), examples = rows.filter((row) => row.origin !== "home");
    content.removeAttribute("aria-busy");
    patch(content,
      el("div", { "data-key": "problems", role: "status" }, answer.problems.map(problemOf)),
      own.length > 0 && totals(answer, own, Boolean(asOf)),
      own.length > 0 && el("ul", { class: "cards", "data-key": "own" }, own.map((row) => cardOf(row, answer))),
      !own.length && (asOf ? noneThen() : firstSteps(examples.find((row) => row.exchange === "simulated") ?? examples[0])),
      answer.note && el("p", { class: "muted small", "data-key": "note" }, answer.note),
      examples.length > 0 && el("section", { "data-key": "examples" }, el("h2", "Examples"),
        el("p", { class: "muted" }, "They never run on schedule. Copy one into your home to change it and let it run."),
        el("ul", { class: "cards" }, examples.map(exampleOf))), wordsOf("home"));
  }, { body: content });
  return el("section", el("h1", "Strategies"), content);
}
