/* Line charts and sparklines in the admin's colours, by uPlot (uplot/, MIT).
 *
 * SentinelCharts.line(element, data)   draws, or redraws, data:
 *   {times: [unix seconds], series: [{label, values: [number or null]}], unit, height}
 * SentinelCharts.spark(canvas, values)  draws a small line without axes.
 * SentinelCharts.poll(url, seconds, act) calls act(answer) now and every so many seconds while
 *   the page is seen; an element [data-sentinel-live] says whether it goes on.
 * SentinelCharts.number(value, unit)    writes a number for people.
 *
 * Nothing is written as HTML, and no style stands in markup: `default-src 'self'` suffices.
 */
"use strict";

const SentinelCharts = (() => {
  const COLOURS = ["--sentinel-1", "--sentinel-2", "--sentinel-3", "--sentinel-4", "--sentinel-5",
    "--sentinel-6", "--sentinel-7", "--sentinel-8"];
  const drawn = new Map();

  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(name).trim() || "#888";

  function number(value, unit = "") {
    if (value === null || value === undefined || Number.isNaN(value)) return "-";
    if (unit === "ratio") return `${trim(value * 100)} %`;
    if (unit === "seconds") return seconds(value);
    if (unit === "bytes") return scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
    const text = scaled(value, 1000, ["", "k", "M", "G", "T"]);
    return unit ? `${text} ${unit}` : text;
  }

  function seconds(value) {
    const size = Math.abs(value);
    if (size === 0) return "0 s";
    if (size < 0.001) return `${trim(value * 1e6)} µs`;
    if (size < 1) return `${trim(value * 1e3)} ms`;
    if (size < 120) return `${trim(value)} s`;
    if (size < 7200) return `${trim(value / 60)} min`;
    return `${trim(value / 3600)} h`;
  }

  function scaled(value, step, units) {
    let place = 0;
    while (Math.abs(value) >= step && place < units.length - 1) {
      value /= step;
      place += 1;
    }
    return `${trim(value)}${units[place] ? ` ${units[place]}` : ""}`;
  }

  const trim = (value) => String(Number(value.toPrecision(3)));

  function options(element, data) {
    const grid = { stroke: colour("--hairline-color"), width: 1 };
    const axis = { stroke: colour("--body-quiet-color"), grid, ticks: grid };
    const unit = data.unit || "";
    return {
      width: Math.max(element.clientWidth, 200),
      height: data.height || 200,
      padding: [8, 24, 0, 0],
      cursor: { drag: { setScale: false } },
      legend: { live: true },
      scales: { y: { range: (_u, low, high) => [Math.min(0, low), high > low ? high * 1.05 : 1] } },
      axes: [
        { ...axis, space: 75, values: (_u, all, _axis, _space, step) => all.map((at) => clock(at, step < 60)) },
        { ...axis, size: 70, values: (_u, all) => all.map((value) => number(value, unit)) },
      ],
      series: [
        { label: "Time", value: (_u, at) => (at === null ? "-" : clock(at, true)) },
        ...data.series.map((one, place) => ({
          label: one.label,
          stroke: colour(COLOURS[place % COLOURS.length]),
          width: 1.5,
          points: { show: false },
          value: (_u, value) => number(value, unit),
        })),
      ],
    };
  }

  function clock(at, withSeconds = false) {
    const part = withSeconds ? { second: "2-digit" } : {};
    const time = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...part };
    return new Date(at * 1000).toLocaleTimeString([], time);
  }

  function line(element, data) {
    const labels = JSON.stringify(data.series.map((one) => one.label));
    const columns = [data.times, ...data.series.map((one) => one.values)];
    const known = drawn.get(element);
    if (known && known.labels === labels) {
      known.data = data;
      known.chart.setData(columns);
      return known.chart;
    }
    if (known) known.chart.destroy();
    const chart = new uPlot(options(element, data), columns, element);
    drawn.set(element, { chart, labels, data });
    return chart;
  }

  function redraw() {
    for (const [element, known] of drawn) {
      known.chart.destroy();
      drawn.delete(element);
      if (element.isConnected) line(element, known.data);
    }
  }

  function spark(canvas, values) {
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth || 120;
    const height = canvas.clientHeight || 24;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const known = values.filter((value) => value !== null);
    if (!known.length) return;
    const high = Math.max(...known, 1e-12);
    const step = (width - 2) / Math.max(values.length - 1, 1);
    pen.strokeStyle = colour("--sentinel-1");
    pen.lineWidth = 1.25;
    pen.beginPath();
    let down = false;
    values.forEach((value, place) => {
      if (value === null) {
        down = false;
        return;
      }
      const x = 1 + place * step;
      const y = height - 2 - (value / high) * (height - 4);
      if (down) pen.lineTo(x, y);
      else pen.moveTo(x, y);
      down = true;
    });
    pen.stroke();
  }

  function poll(url, every, act) {
    const sign = document.querySelector("[data-sentinel-live]");
    const say = (text, state) => {
      if (!sign) return;
      sign.textContent = text;
      sign.dataset.sentinelLive = state;
    };
    let due = null;
    async function ask() {
      due = null;
      if (document.hidden) return;
      let found = null;
      try {
        const answer = await fetch(url(), { headers: { Accept: "application/json" } });
        if (answer.ok && !answer.redirected) found = await answer.json();
      } catch {
        // the server is gone, or answers something else
      }
      due = setTimeout(ask, every * 1000);
      if (found === null) {
        say("no answer; these figures are old", "off");
        return;
      }
      act(found);
      say("live", "on");
    }
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && due === null) ask();
    });
    ask();
    return ask;
  }

  let resizing = null;
  window.addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(redraw, 150);
  });
  new MutationObserver(redraw).observe(document.documentElement, {
    attributes: true,
    attributeFilter: ["data-theme"],
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  return { line, spark, poll, number };
})();
