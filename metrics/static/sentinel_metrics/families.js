/* Keeps the list's figures up to date. */
"use strict";

(() => {
  const EVERY = 5; // seconds, as often as the history gets a row
  const list = document.querySelector(".sentinel-families");
  if (!list) return;

  function show(figures) {
    for (const row of list.tBodies[0].rows) {
      const given = figures.families[row.dataset.family];
      if (!given) continue;
      for (const cell of row.querySelectorAll("[data-figure]")) {
        const text = String(given[cell.dataset.figure]);
        if (cell.textContent !== text) cell.textContent = text;
      }
      const canvas = row.querySelector("canvas");
      if (canvas) SentinelCharts.spark(canvas, given.spark);
    }
  }

  SentinelCharts.poll(() => list.dataset.url, EVERY, show);
})();
