/* Draws a histogram over time: a column a row of the history, a line a bucket. */
"use strict";

const SentinelHeatmap = (() => {
  const LEFT = 70;
  const BELOW = 18;

  function draw(canvas, { times, bounds, heat, unit }) {
    const style = getComputedStyle(document.documentElement);
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.parentElement.clientWidth;
    const line = Math.max(8, Math.min(16, 240 / bounds.length));
    const height = line * bounds.length + BELOW;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.clearRect(0, 0, width, height);
    const most = Math.max(1e-9, ...heat.map((row) => Math.max(...row)));
    const step = (width - LEFT) / Math.max(heat.length, 1);
    pen.fillStyle = style.getPropertyValue("--sentinel-1").trim();
    heat.forEach((row, place) => {
      row.forEach((count, bucket) => {
        if (!count) return;
        pen.globalAlpha = 0.15 + 0.85 * Math.sqrt(count / most);
        pen.fillRect(LEFT + place * step, (bounds.length - 1 - bucket) * line,
          Math.max(1, step - 0.5), line - 1);
      });
    });
    pen.globalAlpha = 1;
    pen.fillStyle = style.getPropertyValue("--body-quiet-color").trim();
    pen.font = "10px sans-serif";
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    const every = Math.ceil(12 / line);
    bounds.forEach((bound, bucket) => {
      if (bucket % every) return;
      const text = bound === null ? "+Inf" : `≤ ${SentinelCharts.number(bound, unit)}`;
      pen.fillText(text, LEFT - 6, (bounds.length - 0.5 - bucket) * line);
    });
    pen.textBaseline = "alphabetic";
    pen.textAlign = "left";
    const clock = (at) => new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit",
      minute: "2-digit", hourCycle: "h23" });
    if (times.length) {
      pen.fillText(clock(times[0]), LEFT, height - 4);
      pen.textAlign = "right";
      pen.fillText(clock(times[times.length - 1]), width, height - 4);
    }
  }

  return { draw };
})();
