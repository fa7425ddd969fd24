// Figures and times as people read them. Unknown is "unknown", never 0.
import { el } from "./dom.js";

const UNKNOWN_VALUE = "unknown";
const numberFormat = (options) => {
  // rounded as the sentences are, and what is next to nothing has no sign
  const format = new Intl.NumberFormat("en", { signDisplay: "negative", roundingMode: "halfEven", ...options });
  return (x) => (x == null ? UNKNOWN_VALUE : format.format(x).replace("-", "−"));
};

/** Prices keep their significant digits: PEPE costs 0.0000081. */
export const price = numberFormat({ maximumSignificantDigits: 8 });
export const number = (x, digits = 0) => numberFormat({ minimumFractionDigits: digits, maximumFractionDigits: digits })(x);
export function percent(x, digits = 2) {
  const text = number(x, digits);
  return x == null ? UNKNOWN_VALUE : `${x > 0 && /[1-9]/.test(text) ? "+" : ""}${text} %`;
}

/** A share in whole per cent: what is not all is never 100 %, and what is not none never 0 %. */
export function share(rate) {
  if (rate > 0 && rate <= 0.005) return "under 1 %";
  return rate == null ? UNKNOWN_VALUE : rate >= 0.995 && rate < 1 ? "over 99 %" : `${number(100 * rate)} %`;
}

/** A probability, rounded down, so that what is below a bar is never written as the bar. */
export function likely(value) {
  if (value == null) return UNKNOWN_VALUE;
  return value > 0.99 ? "over 99 %" : value < 0.01 ? "under 1 %" : `${Math.floor(value * 100 + 1e-9)} %`;
}

/** Say what the e-value proves; what it has proven once stays proven. */
export function evidenceText({ e_value: value, evidence }) {
  if (value == null) return "no e-value yet";
  const words = value >= 20 ? "proof at 5 %" : evidence === "skill" ? "it has reached 20, proof at 5 %" : `${value > 1 ? "some evidence" : "none"}; 20 would be proof`;
  return `e-value ${number(value, 2)}: ${words}, however often you look`;
}

const small = numberFormat({ maximumSignificantDigits: 2 });
/** Two decimals; four below ten cents, or more where it would look like nothing. */
export const usd = (x) => (x == null ? UNKNOWN_VALUE : "$" + (x && Math.abs(x) < 5e-5 ? small(x) : number(x, x && Math.abs(x) < 0.1 ? 4 : 2)));

export const plural = (n, noun) => `${number(n)} ${noun}${n === 1 ? "" : "s"}`;

/** Say how often a strategy runs: an interval, or times as cron writes them. */
export const scheduleText = (schedule) => `${/ /.test(schedule) ? "cron" : "every"} ${schedule}`;

const dateFormat = (options) => new Intl.DateTimeFormat("en-GB", options);
const MINUTE = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const [inYear, withYear] = [dateFormat(MINUTE), dateFormat({ ...MINUTE, year: "numeric" })];
const ago = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const UNITS = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

const clock = { now: () => Date.now() + clock.ahead, ahead: 0 };

/** Say which moment "ago" counts from: that of the page in the past, or null for now. */
export function countFrom(iso) {
  const moment = Date.parse(iso);
  clock.now = () => moment || Date.now() + clock.ahead;
  tellAgo();
}

/** Set the clock by the server's: the reader's may be wrong. */
export const setClock = (iso) => (clock.ahead = Date.parse(iso) - Date.now() || 0);

/** Return a moment as text in the reader's zone. */
export function momentText(iso) {
  const date = new Date(iso);
  return (date.getFullYear() === new Date().getFullYear() ? inYear : withYear).format(date);
}

const utc = (iso) => new Date(iso).toISOString().replace("T", " ").replace(/(:00)?\.\d+Z$/, " UTC");

function timeElement(iso, text, attributes) {
  if (Number.isNaN(Date.parse(iso ?? ""))) return el("span", { class: "muted" }, iso ? String(iso) : "–");
  return el("time", { datetime: iso, title: utc(iso), ...attributes }, text(iso));
}

export const timeOf = (iso) => timeElement(iso, momentText);

function agoText(iso) {
  const seconds = (Date.parse(iso) - clock.now()) / 1000;
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS[5];
  return Math.abs(seconds) < 5 ? "now" : ago.format(Math.trunc(seconds / size), unit);
}

/** Return how long ago a moment is, or how far ahead; the page keeps it true. */
export const agoOf = (iso) => timeElement(iso, agoText, { "data-ago": true, title: iso && `${momentText(iso)} · ${utc(iso)}` });

/** Tell every such time anew. */
export function tellAgo() {
  for (const node of document.querySelectorAll("time[data-ago]")) {
    const text = agoText(node.dateTime);
    if (node.textContent !== text) node.textContent = text;
  }
}

/** Return a mark whose shape tells as much as its colour. */
export const signalOf = (signal) =>
  el("span", { class: `signal ${{ BUY: "buy", SELL: "sell", HOLD: "hold" }[signal] ?? "none"}` }, signal ?? "no signal");
