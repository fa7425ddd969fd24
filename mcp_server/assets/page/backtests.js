// The latest backtests of a strategy, newest first, each with its controls.
import { command, el, figure } from "./dom.js";
import { likely, number, percent, plural, price, timeOf } from "./format.js";

/** Return what read_strategy(backtests=true) answers of backtests. */
export function backtestList(name, { backtests = [] }) {
  const caution = "Each variant that is tried counts against all of them: do not tune on what you have seen.";
  const how = [command(`claude-trader backtest ${name}`), el("p", { class: "muted small" }, caution)];
  if (!backtests.length) return el("div", { class: "empty" }, el("p", "No backtest of it yet. Run one on past candles:"), how);
  return [el("ol", { class: "backtests" }, backtests.map(backtest)), el("h3", "Run another"), how];
}

function backtest(one) {
  const { controls: c } = one;
  return el("li", { class: "card", "data-key": `backtest-${one.backtest_id}` },
    el("h3", "Made ", timeOf(one.created_at), " ", one.draft && el("span", { class: "mark warn" }, "of a version that was not kept")),
    el("p", one.summary),
    el("p", { class: "muted small" }, `${one.symbol}, `, timeOf(one.start), " to ", timeOf(one.end), `, ${one.side === "both" ? "long and short" : "long only"}, `,
      `fee ${price(one.fee_bps / 100)} % and slippage ${price(one.slippage_bps / 100)} % a side, version ${one.version ?? "unknown"}`),
    el("dl", { class: "figures" },
      figure("Return", percent(one.return_pct), `buying and holding: ${percent(one.buy_and_hold_pct)}`),
      figure("Beside chance", c?.random_percentile == null ? "unknown" : `${number(c.random_percentile, 1)} %`, "of random entries did worse; 50 % is chance"),
      figure("A candle later", percent(c?.bar_later_return_pct), "the same rules, decided one candle later"),
      figure("At double costs", percent(c?.double_cost_return_pct)),
      figure("First 70 % of its time", percent(c?.first_70_return_pct), `last 30 %: ${percent(c?.last_30_return_pct)}`),
      figure("Sharpe ratio", number(one.sharpe, 2),
        `yearly return for its swings; ${likely(one.sharpe_deflated)} likely to be more than the luck of ${plural(one.trials ?? 0, "trial")} (deflated)`),
      figure("Largest drawdown", one.max_drawdown_pct == null ? "unknown" : `${number(one.max_drawdown_pct, 2)} %`, plural(one.trades ?? 0, "trade"))));
}
