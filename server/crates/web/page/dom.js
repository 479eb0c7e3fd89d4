// Elements from code. What comes from mail only ever becomes text: nothing here parses HTML.

/** An element with attributes, listeners (`onclick`) and children; null and false children are left out. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** A table that becomes a list of cards on a telephone. `columns`: {title, cell, kind}. */
export function table(caption, columns, rows) {
  const head = columns.map((column) => h("th", { scope: "col", class: column.kind ?? null }, column.title || h("span", { class: "unseen" }, "Actions")));
  const body = rows.map((row) => h("tr", {}, columns.map((column) => cell(column, column.cell(row)))));
  return h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body));
}

/** What is in a cell is one thing beside its label. An empty cell is not shown on a telephone. */
function cell({ kind, title }, content) {
  const isEmpty = content === null || content === undefined || content === "";
  return h("td", { class: kind ?? null, "data-label": title }, isEmpty ? null : h("div", {}, content));
}

/** A sheet with a heading, and what belongs beside it. */
export function sheet(title, beside, ...children) {
  return h("section", { class: "sheet", "aria-label": title }, h("header", {}, h("h2", {}, title), beside), ...children);
}

export function tag(text, kind = "") {
  return h("span", { class: `tag ${kind}` }, text);
}

/** Says something for some seconds. */
export function say(text, isBad = false) {
  const line = h("p", { class: isBad ? "bad" : null }, text);
  document.getElementById("said").append(line);
  setTimeout(() => line.remove(), isBad ? 9000 : 5000);
}

/** Asks before something that cannot be undone. */
export function confirmed(title, text, yes) {
  const dialog = document.getElementById("ask");
  document.getElementById("ask-title").textContent = title;
  document.getElementById("ask-text").textContent = text;
  document.getElementById("ask-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
