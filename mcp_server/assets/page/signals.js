// The runs that are loaded, as a table, and each opened to all that is known of it.
import { rowsOf } from "./client.js";
import { el, notice } from "./dom.js";
import { number, percent, plural, price, signalOf, timeOf, usd } from "./format.js";
import { newsSeen } from "./news.js";
import { kindText } from "./slots.js";

const PAGE = 120, LONG = 60_000; // an answer this long may have left out some
const HEADS = ["Signal", "Confidence", "Price", "Outcome, after costs", "Cost", "Started", "Why"];
const TRIGGERS = { schedule: "on schedule", manual: "by hand", replay: "replay" };
const TONES = { right: "good", wrong: "bad", error: "bad", timeout: "bad", abstained: "warn", missed: "warn", drift: "warn" };
const HELD = { true: ["good", "held"], false: ["", "did not hold"], null: ["warn", "undefined"] };
const FILTERS = {
  signals: ["Signals", (run) => run.signal], all: ["All runs", () => true], manual: ["By hand", (run) => run.trigger !== "schedule"],
  replay: ["Replays", () => true],
};

export const loading = () => el("div", el("div", { class: "skeleton" }, "Loading…"));
const mark = (tone, ...inner) => el("span", { class: `mark ${tone ?? ""}` }, inner);

/** Return the runs that are loaded, newest first, and how to load more: those of replays, or all others. */
export function runStore(client, name, signal, of = {}) {
  const kept = new Map(), details = new Map();
  const ask = (more) => client.call("list_signals", { strategy_name: name, outcomes: "all", limit: PAGE, ...of, ...more }, { signal });
  const store = {
    list: [], more: false, loaded: false, details, load: () => ask(),
    take(answer, older) {
      const rows = rowsOf(answer), joins = older || rows.length < PAGE || rows.some((run) => kept.has(run.execution_id));
      if (!joins) kept.clear(); // too much has happened meanwhile: there would be a hole
      if (older || !joins || !kept.size) store.more = rows.length === (older ?? PAGE) || JSON.stringify(rows).length > LONG;
      rows.forEach((run) => {
        const { status, outcome } = kept.get(run.execution_id) ?? {};
        if (status !== run.status || outcome !== run.outcome) details.delete(run.execution_id);
        kept.set(run.execution_id, run);
      });
      store.loaded = true;
      store.list = [...kept.values()].sort((one, other) => other.execution_id - one.execution_id);
    },
    async older(limit = PAGE) {
      if (store.more) store.take(await ask({ before: store.list.at(-1).execution_id, limit }), limit);
    },
    async whole(id) {
      details.set(id, null);
      details.set(id, await client.call("list_signals", { execution_id: id }, { signal }).then((answer) => answer.run, (error) => error));
    },
  };
  return store;
}

const NONE = { manual: "No run was started by hand.", replay: "It has not been asked at past moments by then. A replay does that: claude-trader replay" };

/** Return the filter and the table. `hooks`: choose(id), look(id or null), filter(name), further(count). */
export function signalTable(store, state, hooks) {
  const all = store.list.filter(FILTERS[state.filter][1]), rows = all.slice(0, state.shown);
  const filter = ([name, [text]]) =>
    el("button", { class: "small", "aria-pressed": String(name === state.filter), onclick: () => hooks.filter(name) }, text);
  return [
    el("div", { class: "row", role: "group", "aria-label": "Which runs" }, Object.entries(FILTERS).filter(([name]) => name !== "replay" || state.row.engine === "claude").map(filter)),
    !store.loaded ? !store.trouble && loading() : rows.length ? el("div", { class: "scroll" }, el("table", { class: "rows runs" },
      el("caption", "Newest first. Open a run to see how it came about."),
      el("thead", el("tr", ["Time", ...HEADS].map((text) => el("th", text)))),
      el("tbody", rows.flatMap((run) => [runRow(run, state, hooks), state.open.has(run.execution_id) && runDetail(run, store)]))))
      : el("p", { class: "muted" }, NONE[state.filter] ?? "None of these runs has a signal."),
    (store.more || all.length > rows.length) && el("button", { onclick: () => hooks.further(all.length) }, "Show older runs"),
  ];
}

/** Return what became of a signal: its outcome and what it brought, or when it will be known. */
function outcomeCell({ outcome, net_pct, exit_time }) {
  const net = net_pct !== null && el("span", { class: "num" }, ` ${percent(net_pct)}`);
  return [
    mark(TONES[outcome], outcome === "void" ? "cannot be judged" : outcome, net),
    outcome === "pending" && exit_time && el("small", "until ", timeOf(exit_time)),
  ];
}

/** Return who started a run, and whether its model may have known what came after its moment. */
const startedCell = ({ trigger, engine, replay_id, contaminated }) => [
  TRIGGERS[trigger] ?? trigger, engine === "host" && ", decided in a chat", replay_id && [" ", el("code", replay_id)], contaminated ? [el("br"), mark("warn", "contaminated")] : null,
];

function runRow(run, state, { choose, look }) {
  const id = run.execution_id, open = state.open.has(id);
  const cells = [
    run.signal ? signalOf(run.signal) : mark(TONES[run.status], run.slots > 1 && `${number(run.slots)} × `, kindText(run.status)),
    run.confidence !== null && `${price(run.confidence)} %`, run.price !== null && price(run.price),
    run.outcome && outcomeCell(run),
    usd(run.cost_usd), startedCell(run), el("span", { class: "why" }, run.reasoning),
  ];
  const button = {
    class: "quiet small", "aria-expanded": String(open), onclick: () => choose(id), onfocus: () => look(id), onblur: () => look(null),
  };
  return el("tr", {
    "data-key": `run-${id}`, id: `run-${id}`, class: state.marked === id && "marked",
    // not where the page alone has moved, under a mouse that rests
    onmousemove: ({ movementX, movementY }) => (movementX || movementY) && look(id),
    onmouseleave: (event) => state.marked === id && !event.currentTarget.contains(document.activeElement) && look(null),
  }, el("th", { scope: "row" }, el("button", button, timeOf(run.scheduled_at ?? run.as_of))), cells.map((inner) => el("td", inner)));
}

function runDetail(run, store) {
  const id = run.execution_id, whole = store.details.get(id);
  const inner = !whole ? loading() : whole instanceof Error ? notice(whole) : wholeRun(whole);
  return el("tr", { "data-key": `detail-${id}`, class: "detail" }, el("td", { colspan: HEADS.length + 1 }, inner));
}

const joinedBy = (parts) => parts.filter(Boolean).join(" · ");

function conditionItem({ value, rule, text, values }) {
  const seen = Object.entries(values).map(([name, number]) => `${name} ${number === null ? "undefined" : price(number)}`);
  return el("li", mark(...HELD[value]), ` ${rule}: `, el("code", text), el("span", { class: "muted" }, ` ${seen.join(", ")}`));
}

function wholeRun(run) {
  const title = (text) => el("h3", text), took = run.took_s !== null && `took ${plural(Math.round(run.took_s), "second")}`;
  const tokens = run.tokens_used && plural(run.tokens_used, "token");
  return [
    run.reasoning && el("p", { class: "prose" }, run.reasoning),
    run.conditions && [title("Conditions, and what they saw"), el("ul", run.conditions.map(conditionItem))],
    run.twin && [title("Its rules at the same moment"), el("p", run.twin.signal ? signalOf(run.twin.signal) : run.twin.why ?? "no signal")],
    run.news && [title("News that its sub-agents saw"), run.news.map(newsSeen)],
    run.sub_agents && [title("Sub-agents"), run.sub_agents.map(subAgent)],
    run.entry_price !== null && el("p", `Judged from ${price(run.entry_price)} to ${price(run.exit_price)}, costs ${price(run.cost_bps / 100)} %.`),
    !!run.contaminated && el("p", mark("warn", "contaminated"), " The model may have known what came after this moment, so this run shows no skill."),
    el("p", { class: "muted small" }, joinedBy([run.replay_id && `Replay ${run.replay_id}`, `Run ${run.execution_id}`, run.model, `version ${run.version}`, tokens, took,
      run.knowledge_cutoff && `the model knows the world up to ${run.knowledge_cutoff}`, run.recorded_usd !== null && `its replies once cost ${usd(run.recorded_usd)}`, run.cut])),
  ];
}

function agentCall(call) {
  const trouble = call.failed === null ? mark("bad", "no answer")
    : call.failed ? mark("bad", "failed") : !call.whole && mark("warn", "seen in part");
  return el("details", el("summary", el("code", `${call.tool}(${call.arguments ?? ""})`), " ", trouble), el("pre", call.result ?? "no answer"));
}

function subAgent(agent) {
  const reported = agent.reported ? mark("good", "reported") : mark("bad", agent.missing ?? "no report");
  const facts = joinedBy([agent.model, plural(agent.calls.length, "call"), agent.tokens !== null && plural(agent.tokens, "token")]);
  const report = agent.report ?? agent.result;
  return el("details", { class: "card" },
    el("summary", el("strong", agent.name), " ", agent.leans && signalOf(agent.leans), " ", reported, el("span", { class: "muted small" }, ` ${facts}`)),
    agent.calls.map(agentCall), report && [el("h4", "Its report"), el("pre", report)]);
}
