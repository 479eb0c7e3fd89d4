// Bars over time, in SVG. Columns are steps without a gap; what is stacked is counted together.

import { h, svg } from "./dom.js";
import { clock, number } from "./words.js";

const [LEFT, RIGHT, TOP, BOTTOM] = [40, 2, 8, 22];
/** Pixels between the middles of two labels. */
const APART = 92;
/** Columns at least, so that a young server has no thick bars. */
const COLUMNS = 60;

/** The next round number: 1, 2 or 5 with zeros. */
function round(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, most)));
  return [1, 2, 4, 5, 10].map((step) => step * power).find((step) => step >= most);
}

/** Steps taken together, so that no more than `most` bars stand side by side. */
function together(points, names, most) {
  const each = Math.ceil(points.length / most);
  const bars = [];
  for (let from = points.length; from > 0; from -= each) {
    const some = points.slice(Math.max(0, from - each), from);
    const bar = { at: some[0].at, end: some.at(-1).at };
    for (const name of names) bar[name] = some.reduce((sum, point) => sum + point[name], 0);
    bars.unshift(bar);
  }
  return bars;
}

/** A plot of `series` ({step-s, points}) with these names stacked, the first at the bottom. */
export function bars(title, series, names, tallest = 190) {
  // As wide as there is room, so that its letters are as large as all others.
  const WIDTH = Math.max(280, document.getElementById("main").clientWidth - 66);
  const HEIGHT = tallest;
  const most = Math.max(30, Math.floor(WIDTH / 9));
  const points = together(series.points, names, most);
  const sum = (bar) => names.reduce((all, name) => all + bar[name], 0);
  const top = round(Math.max(...points.map(sum), 1));
  const [inner, tall] = [WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM];
  const y = (value) => TOP + tall - (value / top) * tall;
  const columns = Math.max(points.length, Math.min(COLUMNS, most));
  const step = inner / columns;
  const x = (nth) => LEFT + (columns - points.length + nth) * step;
  const totals = names.map((name) => [name, points.reduce((all, bar) => all + bar[name], 0)]);
  const label = `${title}: ${totals.map(([name, count]) => `${number(count)} ${name}`).join(", ")}`;
  const plot = svg("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
  for (const value of [0, top / 2, top]) {
    if (!Number.isInteger(value)) continue;
    plot.append(svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }));
    plot.append(svg("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, number(value)));
  }
  points.forEach((bar, nth) => {
    let below = 0;
    for (const name of names) {
      if (!bar[name]) continue;
      const height = Math.max(1.5, (bar[name] / top) * tall);
      plot.append(svg("rect", { class: name, x: x(nth) + step * 0.1, width: step * 0.8, y: y(below) - height, height, rx: Math.min(2, step * 0.2) }));
      below += bar[name];
    }
    const said = names.map((name) => `${number(bar[name])} ${name}`).join(", ");
    plot.append(svg("rect", { class: "over", x: x(nth), width: step, y: TOP, height: tall }, svg("title", {}, `${clock(bar.at)}: ${said}`)));
  });
  const every = Math.ceil(APART / step);
  points.forEach((bar, nth) => {
    if ((points.length - 1 - nth) % every !== 0) return;
    const last = nth === points.length - 1;
    if (x(nth) < LEFT + APART / 3) return;
    plot.append(svg("text", { x: last ? WIDTH - RIGHT : x(nth) + step / 2, y: HEIGHT - 4, "text-anchor": last ? "end" : "middle" }, clock(bar.at)));
  });
  const keys = totals.map(([name, count]) => h("li", {}, h("span", { class: `key ${name}` }), h("b", {}, number(count)), ` ${name}`));
  return [h("ul", { class: "keys" }, keys), plot];
}
