// What a chart draws: candles with volume and signals, lines and panes below, curves.
import { percent, price } from "./format.js";

const MARKS = { BUY: ["up", "arrowUp", "belowBar"], SELL: ["down", "arrowDown", "aboveBar"] };
const BARE = { priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false };
export const secondsOf = (moment) => (typeof moment === "string" ? Date.parse(moment) : moment) / 1000;
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
/** Write a value with five digits, or a large one like 4.943T. */
export const short = (x) => (Math.abs(x) >= 1e7 ? compact.format(x).replace("-", "−") : price(x && Number(x.toPrecision(5))));

/** Return draw(facts): it draws them in the colours of now, and returns the figures of each slot. */
export function painter(lib, chart, plot) {
  const extra = [], arrows = [];
  let main, volume, pins, slots, figures, up, down, written, bodies;

  const ink = (tone, alpha = 1) => {
    plot.style.color = `var(--chart-${tone}, var(--${tone}))`;
    return getComputedStyle(plot).color.replace(")", `, ${alpha})`);
  };
  const format = (formatter, minMove = 1e-4) => ({ priceFormat: { type: "custom", minMove, formatter } });
  const add = (kind, options, data, pane) => {
    const series = chart.addSeries(lib[`${kind}Series`], { ...BARE, ...options }, pane);
    series.setData(data);
    extra.push(series);
    return series;
  };
  const points = (values, more) => values.map((value, at) => ({ time: slots[at].time, ...(value != null && { value, ...more?.(at) }) }));
  // A line stops where a value is missing: the way from a value has that value's colour.
  const way = (values, color) => points(values, (at) => ({ ...color?.(at), ...(at + 1 < values.length && values[at + 1] == null && { color: "transparent" }) }));

  function candles({ rows, markers, log }) {
    main ??= chart.addSeries(lib.CandlestickSeries, {}, 0);
    volume ??= chart.addSeries(lib.HistogramSeries, { ...BARE, ...format(short), priceScaleId: "volume" }, 0);
    pins ??= lib.createSeriesMarkers(main);
    written = format(price, 10 ** Math.floor(Math.log10(Math.min(...rows.map((row) => row[3])) || 1) - 7));
    main.applyOptions({ ...written, ...bodies });
    main.setData(slots);
    main.priceScale().applyOptions({ mode: Number(log), scaleMargins: { top: 0.08, bottom: 0.22 } });
    const [rose, fell] = [ink("up", 0.35), ink("down", 0.35)];
    volume.setData(points(slots.map((slot) => slot.volume), (at) => ({ color: slots[at].close < slots[at].open ? fell : rose })));
    volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    pins.setMarkers(marked(markers));
  }

  /** Equal signals at one candle are one mark with their number. */
  function marked(markers) {
    const marks = new Map();
    for (const { time, signal, text = signal, id } of markers) {
      const at = slots.findLastIndex((slot) => slot.close && slot.time <= secondsOf(time));
      const count = (marks.get(at + signal)?.count ?? 0) + 1;
      const [tone, shape, position] = MARKS[signal] ?? ["muted", "circle", "aboveBar"];
      const look = { id, shape, position, count, color: ink(tone), text: count > 1 ? `${text} ×${count}` : text };
      if (at >= 0) marks.set(at + signal, { time: slots[at].time, ...look });
    }
    return [...marks.values()].sort((one, other) => one.time - other.time);
  }

  function line({ columns, pane, shape, color, dashed, levels = [] }, table, row, below) {
    const tone = `line-${color}`, place = pane > 0 ? pane + below : 0;
    const all = columns.map((name) => {
      const at = table.columns.indexOf(name), known = new Map(table.rows.map((values) => [secondsOf(values[0]), values[at]]));
      const values = slots.map(({ time }) => known.get(time));
      figures.push([name, values, pane === 0 ? price : short, tone]);
      return values;
    });
    const [values, second = values, third, fourth] = all;
    const signed = (at) => ({ color: second[at] < 0 ? down : up });
    const turning = (at) => (second[at] * second[at + 1] < 0 ? { color: "transparent" } : signed(at));
    const look = {
      ...(pane === 0 && written ? written : format(short)), color: ink(tone), lineWidth: 2, lineStyle: dashed ? 2 : 0,
      ...(pane === "volume" && { priceScaleId: "volume" }),
      ...(shape === "dots" && { lineVisible: false, pointMarkersVisible: true, pointMarkersRadius: 2 }),
    };
    const body = (at) => ({ open: values[at], high: second[at], low: third[at], close: fourth[at] });
    const series = shape === "candles" ? add("Candlestick", { ...look, ...bodies }, points(values, body), place)
      : shape === "bars" ? add("Histogram", look, points(values, signed), place)
        : shape === "events" ? add("Line", { ...look, ...format(() => ""), lineVisible: false }, points(values, () => ({ value: -row })), place)
          : add("Line", look, way(values, shape === "turning" ? turning : null), place);
    if (shape === "events") {
      const arrow = (at) => ({ position: "inBar", shape: values[at] > 0 ? "arrowUp" : "arrowDown", ...signed(at) });
      arrows.push(lib.createSeriesMarkers(series, slots.flatMap(({ time }, at) => (values[at] ? [{ time, ...arrow(at) }] : []))));
    }
    for (const level of levels)
      series.createPriceLine({ price: level, color: ink("muted"), lineStyle: 3, lineWidth: 1, axisLabelVisible: false });
  }

  /** A curve holds each value until the next one. */
  function curve({ name, tone = "line-2", points: known }, step, pane) {
    let at = -1;
    const values = slots.map(({ time }) => {
      while (known[at + 1] && secondsOf(known[at + 1][0]) < time + step) at += 1;
      return known[at]?.[1];
    });
    figures.push([name, values, percent, tone]);
    add("Line", { ...format((value) => percent(value)), color: ink(tone), lineWidth: 2, lastValueVisible: true }, way(values), pane);
  }

  function draw(facts) {
    arrows.splice(0).forEach((plugin) => plugin.detach());
    extra.splice(0).forEach((series) => chart.removeSeries(series));
    ({ slots } = facts);
    figures = [];
    [up, down] = [ink("up"), ink("down")];
    bodies = { upColor: ink("panel"), downColor: down, borderUpColor: up, borderDownColor: down, wickUpColor: up, wickDownColor: down };
    const color = ink("grid"), borderColor = ink("border"), cross = { color: ink("muted"), labelBackgroundColor: ink("text") };
    chart.applyOptions({
      layout: { background: { color: ink("panel") }, textColor: ink("muted"), panes: { separatorColor: borderColor } },
      grid: { vertLines: { color }, horzLines: { color } }, crosshair: { vertLine: cross, horzLine: cross },
      rightPriceScale: { borderColor }, timeScale: { borderColor },
    });
    if (facts.rows.length) candles(facts);
    const below = Number(facts.curves.length > 0 && facts.rows.length > 0);
    facts.curves.forEach((one) => curve(one, facts.step, below));
    facts.drawings.forEach((one, row) => line(one, facts.table, row, below));
    const panes = chart.panes();
    panes.forEach((pane, at) => pane.setStretchFactor(at ? 1 : 3));
    plot.style.height = `calc(var(--chart-height, clamp(18rem, 45vh, 50rem)) * ${(panes.length + 2) / 3})`;
    return figures;
  }
  return Object.assign(draw, { markers: () => pins?.markers() ?? [] });
}
