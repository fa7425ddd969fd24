// The candles of a market with their indicators, page by page into the past, and the newest as they close.
const MOST = 500;
const AFAR = 3000; // so many missing candles do not end a history

/** `call(tool, args)` promises an answer. Both give true where there is something new; then look at rows and table. */
export function candlePages({ call, market, indicators }) {
  const pages = { rows: [], layout: [], table: { columns: [], rows: [] }, note: null, later, earlier };
  let size = MOST;

  const joined = (old, fresh) => [...new Map([...old, ...fresh].map((row) => [row[0], row])).values()]
    .sort((one, other) => Date.parse(one[0]) - Date.parse(other[0]));

  const newestOf = ({ rows }) => JSON.stringify(rows.slice(-3));

  async function page(limit, as_of) {
    const candles = await call("get_ohlcv", { ...market, limit, as_of });
    if (!candles.rows.length || !indicators.length || newestOf(candles) === pages.seen) return [candles, []];
    const values = await call("calculate_indicators", { ...market, indicators, last: limit, as_of: candles.as_of });
    return [candles, values.rows];
  }
  function add([candles, values], kept = pages) {
    pages.rows = joined(kept.rows, candles.rows);
    pages.table = { columns: pages.table.columns, rows: joined(kept.table.rows, values) };
  }

  /** Look for newer candles; the last ones are asked for again, because an exchange may correct them. */
  async function later() {
    const last = pages.rows.at(-1)?.[0];
    if (!last && indicators.length) {
      const first = await call("calculate_indicators", { ...market, indicators, layout: true });
      [pages.layout, pages.table.columns] = [first.layout, first.columns];
      size = Math.min(MOST, Math.floor(90_000 / (40 + 16 * first.columns.length)));
    }
    let fresh = await page(last ? 3 : size);
    const newest = newestOf(fresh[0]), meets = () => fresh[0].rows.some((row) => row[0] === last);
    if (newest === pages.seen) return false;
    if (last && !meets()) fresh = await page(size);
    if (meets()) add(fresh);
    else if (fresh[0].rows.length) add(fresh, { rows: [], table: { rows: [] } });
    const { note, built_from: parts } = fresh[0];
    [pages.seen, pages.note] = [newest, [parts && `Built from candles of ${parts}.`, note].filter(Boolean).join(" ")];
    return true;
  }

  /** Look for candles before the first one; false: there are none. */
  async function earlier() {
    const before = { as_of: pages.rows[0][0] };
    let fresh = await page(size, before.as_of);
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
