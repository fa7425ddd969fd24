"use strict";
// The page of a backtest: draws the chart from the data in the page, and sorts the table of trades.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const box = document.getElementById("chart");
  const readout = document.getElementById("readout");
  const { createChart, CandlestickSeries, LineSeries, BarSeries, AreaSeries, PriceScaleMode } = LightweightCharts;
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const time = (slot) => (data.start + slot * data.step) / 1000;
  const significant = (value, digits) => {
    if (value && Math.abs(value) < 1e-6) return Number(value.toPrecision(digits)).toExponential();
    return value.toLocaleString("en", { maximumSignificantDigits: digits, maximumFractionDigits: 20 });
  };
  const minute = (ms) => new Date(ms).toISOString().slice(0, 16).replace("T", " ");
  const moment = (slot) => minute(time(slot) * 1000);
  const percent = (ratio) => `${ratio < 0 ? "−" : "+"}${significant(Math.abs(ratio * 100), 4)} %`;

  const chart = createChart(box, {
    autoSize: true,
    layout: { attributionLogo: false, panes: { enableResize: true } },
    localization: { locale: "en" },
    timeScale: { timeVisible: data.step < 86400000, secondsVisible: false, minBarSpacing: 0.001 },
    rightPriceScale: { minimumWidth: 70 },
  });
  const written = (digits, step) => ({
    priceFormat: { type: "custom", minMove: step, formatter: (value) => significant(value, digits) },
  });
  const quiet = { priceLineVisible: false, lastValueVisible: true };
  const price = chart.addSeries(CandlestickSeries, { ...quiet, ...written(8, data.price_step) }, 0);
  const kind = data.merged > 1 ? BarSeries : LineSeries;
  const spread = data.merged > 1 ? { thinBars: true, openVisible: false } : { lineWidth: 2 };
  const equity = chart.addSeries(kind, { ...quiet, ...spread, ...written(5, 0.01) }, 1);
  const holding = chart.addSeries(kind, { ...quiet, ...spread, ...written(5, 0.01) }, 1);
  const drawdown = chart.addSeries(AreaSeries, { ...quiet, lineWidth: 1, invertFilledArea: true, ...written(4, 0.01) }, 2);

  const bars = (rows) => rows.map((row, slot) => {
    if (row === null) return { time: time(slot) };
    return { time: time(slot), open: row[0], high: row[1], low: row[2], close: row[3] };
  });
  const lines = (values) => values.map((value, slot) => (value === null ? { time: time(slot) } : { time: time(slot), value }));
  price.setData(bars(data.candles));
  (data.merged > 1 ? [bars, bars] : [lines, lines]).forEach((shape, at) => {
    (at ? holding : equity).setData(shape(at ? data.holding : data.equity));
  });
  drawdown.setData(lines(data.drawdown));
  if (data.log_price) price.priceScale().applyOptions({ mode: PriceScaleMode.Logarithmic });
  if (data.log_equity) equity.priceScale().applyOptions({ mode: PriceScaleMode.Logarithmic });
  chart.panes().forEach((pane, at) => pane.setStretchFactor([5, 3, 1.6][at]));

  // Entries and exits: one line for each trade, and a triangle at each end while there is room for them.
  let chosen = -1;
  const [ROOM, EDGE] = [12, 10];
  const joins = {
    draw(target) {
      target.useBitmapCoordinateSpace(({ context, horizontalPixelRatio: h, verticalPixelRatio: v, mediaSize }) => {
        const scale = chart.timeScale();
        const seen = [];
        data.trades.forEach(([from, to, entry, exit, result, side], at) => {
          const x = [scale.logicalToCoordinate(from), scale.logicalToCoordinate(to)];
          const y = [price.priceToCoordinate(entry), price.priceToCoordinate(exit)];
          if (x.includes(null) || y.includes(null) || x[1] < -EDGE || x[0] > mediaSize.width + EDGE) return;
          seen.push({ at, side, won: result > 0, x: [x[0] * h, x[1] * h], y: [y[0] * v, y[1] * v] });
        });
        const roomy = seen.length * ROOM < mediaSize.width;
        const tints = [color("down"), color("up")];
        seen.forEach(({ at, side, won, x, y }) => {
          context.strokeStyle = context.fillStyle = tints[Number(won)];
          context.lineWidth = (at === chosen ? 4 : 2) * h;
          context.beginPath();
          context.moveTo(x[0], y[0]);
          context.lineTo(x[1], y[1]);
          context.stroke();
          if (!roomy) return;
          [side, -side].forEach((direction, end) => {
            const size = 6 * v;
            context.beginPath();
            context.moveTo(x[end], y[end]);
            context.lineTo(x[end] - size * 0.8, y[end] + direction * size * 1.6);
            context.lineTo(x[end] + size * 0.8, y[end] + direction * size * 1.6);
            context.fill();
          });
        });
        box.dataset.trades = String(seen.length);
        box.dataset.triangles = String(roomy ? 2 * seen.length : 0);
      });
    },
  };
  price.attachPrimitive({ paneViews: () => [{ zOrder: () => "top", renderer: () => joins }] });

  const paint = () => {
    chart.applyOptions({
      layout: { background: { color: color("background") }, textColor: color("text"), fontSize: 12,
        panes: { separatorColor: color("border"), separatorHoverColor: color("grid") } },
      grid: { vertLines: { color: color("grid") }, horzLines: { color: color("grid") } },
      rightPriceScale: { borderColor: color("border") }, timeScale: { borderColor: color("border") },
    });
    const [up, down] = [color("up"), color("down")];
    price.applyOptions({ upColor: color("background"), downColor: color("muted"), borderVisible: true,
      borderUpColor: color("muted"), borderDownColor: color("muted"), wickUpColor: color("muted"), wickDownColor: color("muted") });
    [[equity, "line"], [holding, "holding"]].forEach(([series, name]) => {
      series.applyOptions({ color: color(name), upColor: color(name), downColor: color(name) });
    });
    drawdown.applyOptions({ lineColor: down, topColor: `${down}22`, bottomColor: `${down}88` });
    box.dataset.colors = `${up} ${down}`;
  };
  paint();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);

  const tell = (slot) => {
    const row = data.candles[slot];
    const held = data.equity[slot];
    if (!row || held === null || held === undefined) return;
    const last = (value) => significant(Array.isArray(value) ? value[3] : value, 5);
    readout.textContent = `${moment(slot)} UTC · open ${significant(row[0], 8)} · high ${significant(row[1], 8)} · low `
      + `${significant(row[2], 8)} · close ${significant(row[3], 8)} · equity ${last(held)} · holding `
      + `${last(data.holding[slot])} · drawdown ${significant(-data.drawdown[slot], 4)} %`;
  };
  chart.subscribeCrosshairMove((event) => {
    if (event.logical !== undefined && event.logical !== null) tell(Math.round(event.logical));
  });

  let untouched = true;  // until then, the whole time stays in view when the screen turns
  ["pointerdown", "wheel"].forEach((kind) => box.addEventListener(kind, () => { untouched = false; }, { passive: true }));
  chart.timeScale().subscribeSizeChange(() => untouched && whole());
  const whole = () => chart.timeScale().setVisibleLogicalRange({ from: -0.5, to: data.candles.length - 0.5 });
  const range = () => chart.timeScale().getVisibleLogicalRange() || { from: 0, to: data.candles.length };
  const zoom = (factor) => {
    const { from, to } = range();
    const [middle, half] = [(from + to) / 2, Math.max(((to - from) / 2) * factor, 5)];
    chart.timeScale().setVisibleLogicalRange({ from: middle - half, to: middle + half });
  };
  const move = (share) => {
    const { from, to } = range();
    chart.timeScale().setVisibleLogicalRange({ from: from + (to - from) * share, to: to + (to - from) * share });
  };
  const rows = [...document.querySelectorAll("#trades tbody tr")];
  const choose = (at) => {
    if (!data.trades.length) return;
    untouched = false;
    chosen = Math.min(Math.max(at, 0), data.trades.length - 1);
    const [from, to, entry, exit, result, side, open, entered, left] = data.trades[chosen];
    const around = Math.max((to - from) * 0.6, 20);
    chart.timeScale().setVisibleLogicalRange({ from: from - around, to: to + around });
    readout.textContent = `Trade ${chosen + 1} of ${data.trades.length}: ${side > 0 ? "long" : "short"} from ${minute(entered)} UTC at `
      + `${significant(entry, 8)} ${open ? "(still open, last close" : "to"} ${minute(left)} UTC ${open ? "" : "at "}${significant(exit, 8)}`
      + `${open ? ")" : ""}: ${percent(result)} after costs`;
    rows.forEach((row) => row.classList.toggle("chosen", Number(row.dataset.trade) === chosen));
  };
  const actions = {
    whole, closer: () => zoom(0.5), wider: () => zoom(2), earlier: () => move(-0.5), later: () => move(0.5),
    previous: () => choose(chosen < 0 ? data.trades.length - 1 : chosen - 1), next: () => choose(chosen + 1),
  };
  document.querySelectorAll("button[data-action]").forEach((button) => {
    button.addEventListener("click", () => {
      untouched = button.dataset.action === "whole";
      actions[button.dataset.action]();
    });
  });
  rows.forEach((row) => row.addEventListener("click", () => choose(Number(row.dataset.trade))));

  const body = document.querySelector("#trades tbody");
  document.querySelectorAll("#trades thead th").forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const rising = head.getAttribute("aria-sort") !== "ascending";
      document.querySelectorAll("#trades thead th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.value;
      const sorted = [...rows].sort((one, other) => {
        const [a, b] = [key(one), key(other)];
        const order = isNaN(a) ? a.localeCompare(b) : a - b;
        return rising ? order : -order;
      });
      body.replaceChildren(...sorted);
    });
  });
  whole();
})();
