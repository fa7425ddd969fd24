// Candles with their indicators, page by page into the past, and the newest as they close.
const MOST = 500;
const AFAR = 3000; // so many missing candles do not end a history
const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** Return the length of a candle, in milliseconds. */
export const timeframeMs = (timeframe) => parseInt(timeframe) * UNIT_MS[timeframe.at(-1)];


/** `call(tool, args)` promises an answer. Both give true where there is something new; then look at rows and table. */
export function candlePages({ call, market, indicators }) {
  const pages = { rows: [], layout: [], table: { columns: [], rows: [] }, note: null, refused: [], later, earlier };
  let size = MOST;

  const joined = (old, fresh) => [...new Map([...old, ...fresh].map((row) => [row[0], row])).values()]
    .sort((one, other) => Date.parse(one[0]) - Date.parse(other[0]));

  const newestOf = ({ rows }) => JSON.stringify(rows.slice(-3));

  /** `meeting`: a moment by which the first candle that is there had closed; values that reach it can be joined. */
  async function page(limit, as_of, meeting) {
    const candles = await call("get_ohlcv", { ...market, limit, as_of });
    if (!candles.rows.length || !indicators.length || newestOf(candles) === pages.seen) return [candles, []];
    const values = await call("calculate_indicators", { ...market, indicators, last: limit + 1, as_of: meeting ?? candles.as_of });
    return [candles, values.rows, values.note];
  }
  function add([candles, values], kept = pages) {
    pages.rows = joined(kept.rows, candles.rows);
    pages.table = { columns: pages.table.columns, rows: joined(kept.table.rows, kept.table.rows.length ? moved(values) : values) };
  }
  /** Running totals begin with each answer: move them so that they meet what is there. */
  function moved(values) {
    const there = new Map(pages.table.rows.map((row) => [row[0], row])), one = values.find(([time]) => there.has(time));
    const moves = {};
    for (const { columns, total } of pages.layout.filter((line) => line.total)) {
      const at = pages.table.columns.indexOf(columns[0]), [to, from] = [there.get(one?.[0])?.[at], one?.[at]];
      const kept = (x, time) => there.get(time)?.[at] ?? null;
      moves[at] = to == null || from == null ? kept : { sum: (x) => x + to - from, product: (x) => (x * to) / from, apart: kept }[total];
    }
    return values.map((row) => row.map((x, at) => (moves[at] && x !== null ? moves[at](x, row[0]) : x)));
  }

  /** Return how indicators are drawn; one that is refused is left out, and told of. */
  async function layout() {
    const ask = (some) => call("calculate_indicators", { ...market, indicators: some, layout: true });
    const refusal = (error) => (error.problem && !error.retryable ? error : Promise.reject(error));
    const whole = await ask(indicators).catch(refusal);
    if (!(whole instanceof Error)) return whole;
    const errors = await Promise.all(indicators.map((one) => ask([one]).then(() => null, refusal)));
    pages.refused = errors.filter(Boolean);
    indicators = indicators.filter((one, at) => !errors[at]);
    return indicators.length ? ask(indicators) : { layout: [], columns: [] };
  }

  /** Look for newer candles; the last ones are asked for again, because an exchange may correct them. */
  async function later() {
    const last = pages.rows.at(-1)?.[0];
    if (!last && indicators.length) {
      const first = await layout();
      [pages.layout, pages.table.columns] = [first.layout, first.columns];
      size = Math.min(MOST, Math.floor(90_000 / (40 + 16 * first.columns.length)));
    }
    let fresh = await page(last ? 3 : size);
    const newest = newestOf(fresh[0]), meets = () => fresh[0].rows.some((row) => row[0] === last);
    if (newest === pages.seen) return false;
    if (last && !meets()) fresh = await page(size);
    if (meets()) add(fresh);
    else if (fresh[0].rows.length) add(fresh, { rows: [], table: { rows: [] } });
    const [{ note, built_from: parts }, , caveat = note] = fresh;
    [pages.seen, pages.note] = [newest, [parts && `Built from candles of ${parts}.`, caveat].filter(Boolean).join(" ")];
    return true;
  }

  /** Look for candles before the first one; false: there are none. */
  async function earlier() {
    const before = { as_of: pages.rows[0][0] };
    const opens = pages.rows.map(([open]) => Date.parse(open)), step = Math.min(...opens.slice(1).map((open, at) => open - opens[at]));
    let fresh = await page(size, before.as_of, opens[1] && new Date(opens[0] + step).toISOString());
    if (!fresh[0].rows.length) {
      const { summary, as_of, age_s } = await call("get_ohlcv", { ...market, ...before, limit: AFAR, detail: "summary" });
      if (!summary) return false;
      fresh = await page(size, new Date(Date.parse(as_of) - age_s * 1000).toISOString());
    }
    add(fresh);
    return pages.rows[0][0] !== before.as_of;
  }
  return pages;
}
