// What words of a view mean. A test holds this and docs/glossary.md to the same sentences.
import { el } from "./dom.js";

const WORDS = {
  "record": "the signals of one strategy that were decided in the same way, in runs of the same kind",
  "e-value": "evidence for skill that may be looked at after every signal; 20 is proof at 5 %",
  "interval, cron": "how often a strategy runs: with each closed candle (`1h`), or at times of the clock (`30 9 * * *`)",
  "signal": "BUY, SELL or HOLD, with a confidence and a reason; an opinion, not an order",
  "budget": "the most that a run, a strategy or a day may cost",
  "slot": "one time at which a strategy is due, whether or not it ran",
  "confidence": "the probability, in per cent, that a signal is right: that its return is above 0 after costs at its horizon",
  "abstained": "the run could not decide, so there is no signal; this is not HOLD",
  "pending, void": "not known yet; never to be known. Neither counts as wrong",
  "horizon": "how long after a signal it is judged",
  "base rate": "how often any such signal would have been right, without skill",
  "95 % interval": "the true value lies within it, in 95 of 100 cases",
  "mean net return": "what a signal brought on average, after costs",
  "Brier score, skill": "how far confidences were from what happened: 0 is perfect; above 0 the skill is better than always stating the base rate",
  "calibration": "whether of the signals that state 70 %, about 70 % are right",
  "coverage": "the share of runs that ended with a signal",
  "equity": "what an account is worth: its money and what it holds, at the price of the moment; a backtest begins with 1",
  "slippage": "how much worse the price you get is than the price you saw",
  "Sharpe ratio": "the mean return for its swings, a year; 1 is good, above 3 is rare and should make you look for a mistake",
  "deflated Sharpe ratio": "the probability that it is above what the best of all trials would show by luck; below 0.95 proves nothing",
  "trial": "one variant that was backtested; the more of them, the better the best looks by luck alone",
  "drawdown": "how far a value has fallen from its highest point",
};
const WORDS_OF = {
  home: ["record", "e-value", "interval, cron", "signal", "budget"],
  signals: ["slot", "confidence", "abstained", "pending, void", "horizon"],
  record: ["e-value", "base rate", "95 % interval", "mean net return", "Brier score, skill", "calibration", "coverage"],
  backtests: ["equity", "slippage", "Sharpe ratio", "deflated Sharpe ratio", "trial", "drawdown"],
};

/** Return what the words of a part of the page mean, closed at first. */
export const wordsOf = (part) => WORDS_OF[part] && el("details", { class: "words", "data-key": "words" }, el("summary", "What these words mean"),
  el("dl", { class: "listing" }, WORDS_OF[part].map((word) => [el("dt", word), el("dd", WORDS[word].replaceAll("`", ""))])));
