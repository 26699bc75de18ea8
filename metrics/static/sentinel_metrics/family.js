/* Draws a family's last hour, and copies its queries. */
"use strict";

(() => {
  const EVERY = 5; // seconds, as often as the history gets a row
  const part = document.querySelector("section.sentinel-course");
  const place = (name) => part.querySelector(`[data-chart="${name}"]`);
  let last = null;

  function show({ chart }) {
    if (!chart) return;
    last = chart;
    SentinelCharts.line(place("course"), chart);
    if (!chart.heat) return;
    SentinelCharts.line(place("quantiles"), {
      times: chart.times,
      unit: chart.quantile_unit,
      series: chart.quantiles,
    });
    SentinelHeatmap.draw(place("heat"), { ...chart, unit: chart.quantile_unit });
  }

  if (place("course")) SentinelCharts.poll(() => part.dataset.url, EVERY, show);
  window.addEventListener("resize", () => last && show({ chart: last }));

  for (const button of document.querySelectorAll("[data-copy]")) {
    if (!navigator.clipboard) continue; // without https there is none
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
  }
})();
