"use strict";
(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const two = (value) => String(value).padStart(2, "0");
  const clock = (s, long) => long ? Math.floor(s / 60) + ":" + two(Math.round(s % 60)) : String(Math.round(s * 100) / 100);
  const number = (value) => value == null ? "–" : Number(value.toPrecision(3)).toLocaleString(document.documentElement.lang);
  const plots = [];

  function draw(figure, host) {
    const data = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
    const x = data.moments, long = x[x.length - 1] > 120, made = [];
    const axis = (more) => Object.assign({stroke: () => colour("muted"), font: "12px system-ui, sans-serif",
      grid: {stroke: () => colour("grid"), width: 1}, ticks: {show: false}}, more);
    data.panels.forEach((panel, index) => {
      const title = document.createElement("p");
      title.className = "explore-title";
      title.textContent = panel.title;
      host.append(title);
      const last = index === data.panels.length - 1;
      made.push(new uPlot({
        width: host.clientWidth, height: last ? 168 : 140,
        cursor: {sync: {key: figure.id, setSeries: false}, drag: {x: true, y: false}},
        scales: {x: {time: false}, y: {range: (u, low, high) => [Math.min(0, low || 0), (high || 1) * 1.05]}},
        axes: [axis({values: (u, marks) => marks.map((mark) => last ? clock(mark, long) : ""), size: last ? 34 : 8}),
               axis({values: (u, marks) => marks.map(number), size: 56})],
        series: [{label: figure.dataset.time, value: (u, v) => v == null ? "–" : clock(v, long)},
          ...panel.lines.map((line) => ({label: line.name || panel.title, width: 1.5, spanGaps: true, points: {show: false},
            stroke: () => colour(line.colour), value: (u, v) => number(v)}))],
      }, [x, ...panel.lines.map((line) => line.values)], host));
    });
    host.tabIndex = 0;
    host.addEventListener("keydown", (event) => {
      const step = {ArrowLeft: -1, ArrowRight: 1}[event.key], first = made[0];
      if (step) {
        const at = Math.max(0, Math.min(x.length - 1, (first.cursor.idx ?? -1) + step));
        made.forEach((plot) => plot.setCursor({left: plot.valToPos(x[at], "x"), top: 1}));
        event.preventDefault();
      } else if (event.key === "Escape") {
        made.forEach((plot) => plot.setScale("x", {min: x[0], max: x[x.length - 1]}));
      }
    });
    plots.push({host, made});
  }

  for (const figure of document.querySelectorAll("figure[data-explore]")) {
    const button = document.createElement("button"), host = document.createElement("div"), hint = document.createElement("p");
    button.type = "button";
    button.className = "explore";
    button.textContent = figure.dataset.explore;
    button.setAttribute("aria-expanded", "false");
    host.className = "explorer";
    host.hidden = hint.hidden = true;
    host.setAttribute("role", "group");
    host.setAttribute("aria-label", figure.querySelector("h3,h4").textContent);
    hint.className = "caption explore-hint";
    hint.textContent = figure.dataset.hint;
    figure.querySelector("figcaption").before(button, hint, host);
    button.addEventListener("click", () => {
      const open = host.hidden;
      host.hidden = hint.hidden = !open;
      figure.classList.toggle("exploring", open);
      button.setAttribute("aria-expanded", String(open));
      button.textContent = open ? figure.dataset.back : figure.dataset.explore;
      if (open && !host.firstChild) draw(figure, host);
    });
  }
  addEventListener("resize", () => plots.forEach(({host, made}) =>
    host.clientWidth && made.forEach((plot) => plot.setSize({width: host.clientWidth, height: plot.height}))));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    plots.forEach(({made}) => made.forEach((plot) => plot.redraw(false))));
})();
