/* Keeps the overview's figures up to date: the same tables and words as the page came with. */
"use strict";

(() => {
  const EVERY = 5; // seconds, as often as the history gets a row
  const page = document.querySelector(".sentinel-overview");

  function text(element, value) {
    if (element.textContent !== value) element.textContent = value;
  }

  function list(element, lines, none) {
    const shown = lines.length ? lines : [none];
    while (element.children.length > shown.length) element.lastElementChild.remove();
    while (element.children.length < shown.length)
      element.append(document.createElement("li"));
    shown.forEach((line, place) => text(element.children[place], line));
  }

  /* Write one cell. A link stays the element that it is, so that it keeps the focus. */
  function fill(element, cell) {
    let inner = element.firstElementChild;
    const wanted = cell.href ? "A" : cell.state ? "SPAN" : "";
    const has = inner && inner.tagName !== "CANVAS" ? inner.tagName : "";
    if (wanted !== has) {
      element.textContent = "";
      inner = null;
      if (wanted) {
        inner = document.createElement(wanted);
        element.append(inner);
      }
    }
    if (wanted === "A") {
      if (inner.getAttribute("href") !== cell.href) inner.setAttribute("href", cell.href);
      text(inner, cell.text || "");
    } else if (wanted === "SPAN") {
      inner.className = "sentinel-state";
      inner.dataset.state = cell.state;
      text(inner, cell.text || "");
    } else if (!cell.spark) {
      text(element, cell.text || "");
    }
    if (cell.spark) {
      let canvas = element.querySelector("canvas");
      if (!canvas) {
        canvas = document.createElement("canvas");
        canvas.className = "sentinel-spark";
        canvas.setAttribute("aria-hidden", "true");
        element.append(canvas);
      }
      SentinelCharts.spark(canvas, cell.spark);
    }
  }

  function table(section, given) {
    const body = section.querySelector(".sentinel-figures tbody");
    if (!body) return;
    while (body.rows.length > given.rows.length) body.lastElementChild.remove();
    while (body.rows.length < given.rows.length) {
      const row = body.insertRow();
      given.columns.forEach((column, place) => {
        const cell = document.createElement(place ? "td" : "th");
        if (place) cell.dataset.label = column.text;
        else cell.scope = "row";
        if (place && column.number) cell.className = "sentinel-number";
        row.append(cell);
      });
    }
    given.rows.forEach((cells, place) => {
      cells.forEach((cell, column) => fill(body.rows[place].cells[column], cell));
    });
  }

  function charts(section, given) {
    const rate = section.querySelector('[data-chart="rate"]');
    const duration = section.querySelector('[data-chart="duration"]');
    if (!rate || !given) return;
    const errors = given.rate.map((value, place) =>
      value === null || given.error_ratio[place] === null
        ? value === null ? null : 0
        : value * given.error_ratio[place]);
    SentinelCharts.line(rate, {
      times: given.times,
      unit: "/s",
      series: [{ label: "calls", values: given.rate }, { label: "errors", values: errors }],
    });
    SentinelCharts.line(duration, {
      times: given.times,
      unit: "seconds",
      series: ["p50", "p95", "p99"].map((name) => ({ label: name, values: given[name] })),
    });
  }

  function show(figures) {
    const shown = [...document.querySelectorAll("[data-table]")].map((one) => one.dataset.table);
    const has = figures.tables.map((one) => one.name);
    const rows = (section) => section.querySelector(".sentinel-figures tbody") !== null;
    const differs = shown.join() !== has.join() || figures.tables.some((one) =>
      rows(document.querySelector(`[data-table="${one.name}"]`)) !== one.rows.length > 0);
    if (differs) {
      window.location.reload(); // a table has come or gone
      return;
    }
    for (const element of document.querySelectorAll("[data-text]"))
      text(element, figures[element.dataset.text]);
    document.querySelector(".sentinel-headline .sentinel-state").dataset.state = figures.status;
    const problems = document.querySelector(".sentinel-problems");
    problems.classList.toggle("sentinel-well", figures.problems.length === 0);
    list(problems.querySelector("ul"), figures.problems, "Nothing that can be seen from here.");
    for (const given of figures.tables) {
      const section = document.querySelector(`[data-table="${given.name}"]`);
      table(section, given);
      charts(section, figures.charts[given.name]);
    }
  }

  SentinelCharts.poll(() => page.dataset.url, EVERY, show);
})();
