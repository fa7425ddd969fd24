// How a strategy stands: what it is, when it runs next, what it spent, and what its record says.
import { rowsOf } from "./client.js";
import { el, figure, fill, notice } from "./dom.js";
import { agoOf, scheduleText, signalOf, timeOf, usd } from "./format.js";
import { hrefOf } from "./place.js";
import { sentences } from "./record.js";
import { kindText } from "./slots.js";

const STATUS = { active: "good", paused: "warn", broken: "bad" };
const ENGINES = { claude: "Claude and its sub-agents", rules: "its rules" };

/** Return the head of the view: it notes the strategy's row in `state`, and hides the parts of what is not known. */
export function standing({ client, call, name, asOf, signal, state, runs, part, hide, performance }) {
  const verdict = el("summary");
  const score = el("details", { class: "card", hidden: true, ontoggle: () => {
    if (score.open && !score.children[1]) score.append(part(performance, sentences, signal));
  } }, verdict);

  async function load() {
    const kept = (promise) => promise.catch((error) => (error.problem ? { error } : Promise.reject(error)));
    const listing = client.call("list_strategies", { after: name.slice(0, -1) }, { signal });
    const [listed, files] = await Promise.all([kept(listing), kept(call("read_strategy"))]);
    const row = rowsOf(listed).find((row) => row.name === name), unknown = !row && !listed.error && Boolean(files.error || asOf);
    return { row, unknown, config: files.config, trouble: files.error ?? listed.error };
  }

  function draw({ row, unknown, config, trouble }) {
    Object.assign(state, { row: row ?? {}, unknown, trouble: trouble?.message });
    state.changed();
    hide(unknown && !runs.list.length); // one whose folder is gone may still have runs
    fill(verdict, state.row.record);
    score.hidden = !state.row.record;
    return [
      trouble ? notice(trouble) : unknown && notice({ problem: "This strategy did not exist at that moment.", remedy: "Choose a later one." }, "warn"),
      unknown && el("p", el("a", { href: hrefOf({ view: "home", name: null }) }, "See all strategies")),
      !unknown && config && el("p", { class: "prose" }, config.description),
      row && facts(row, config),
    ];
  }
  return [part(load, draw, signal), score];
}

function facts(row, config) {
  const { exchange, trading_pair: symbol, timeframe, origin, last_signal: last, next_slot: next } = row;
  const status = row.engine ? row.status ?? origin : "broken", most = config?.budget?.usd_per_day, own = origin !== "example";
  return el("dl", { class: "figures card" },
    figure("State", el("span", { class: `mark ${STATUS[status] ?? ""}` }, status)),
    symbol && figure("Market", el("a", { href: hrefOf({ view: "market", name: null, symbol, timeframe, exchange }) }, symbol),
      `${timeframe} candles on ${exchange}`, exchange === "simulated" && "invented prices"),
    row.engine && figure("Decided by", ENGINES[row.engine], scheduleText(row.schedule)),
    own && figure("Next run", next ? agoOf(next) : "none", next && timeOf(next)),
    own && figure("Last run", row.last_at ? [last ? signalOf(last) : kindText(row.last_status)] : row.last_status ?? "none yet", row.last_at && agoOf(row.last_at)),
    own && figure("Spent today", usd(row.spent_today_usd), most && `of ${usd(+most)} a day`),
    own && figure("Spent this month", usd(row.spent_month_usd)));
}
