// Which view is shown, signing in, and looking again every few seconds.

import { get, token } from "./api.js";
import { h } from "./dom.js";
import * as message from "./message.js";
import * as overview from "./overview.js";
import * as plugins from "./plugins.js";
import * as quarantine from "./quarantine.js";
import * as queue from "./queue.js";
import * as sessions from "./sessions.js";

const LOOK_MS = 5000;
const VIEWS = { "": overview, queue, quarantine, sessions, plugins, message };
const main = document.getElementById("main");

let current = { hash: null, shown: null, abort: null, turn: 0 };
let timer = null;

/** The view that the address names, and what it is about. */
function wanted() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/");
  const view = Object.hasOwn(VIEWS, name) ? VIEWS[name] : overview;
  return { name, view, about: view === message ? decodeURIComponent(rest.join("/")) : new URLSearchParams(query ?? "") };
}

function frame(isIn) {
  document.getElementById("nav").hidden = !isIn;
  document.getElementById("leave").hidden = !isIn;
  if (!isIn) document.getElementById("host").textContent = "";
}

function enter(why) {
  stop();
  frame(false);
  const field = h("input", { id: "token", name: "token", type: "password", autocomplete: "current-password", required: true, spellcheck: "false", "aria-describedby": "why", "aria-invalid": why ? "true" : null });
  const go = async (event) => {
    event.preventDefault();
    token.set(field.value.trim());
    await start();
  };
  main.replaceChildren(h("section", { class: "sheet enter", "aria-label": "Sign in" },
    h("h1", {}, "Postmaster"),
    h("p", { class: "soft" }, "Sign in with a token of the scope ", h("code", {}, "admin"), " or ", h("code", {}, "read"), ". ", h("code", {}, "waxwing token new"), " makes one."),
    h("form", { class: "sheet-form", onsubmit: go }, h("label", { for: "token" }, "Token", field), h("p", { id: "why", class: "fault", role: "alert" }, why ?? ""), h("button", { class: "primary", type: "submit" }, "Sign in"))));
  field.focus();
}

function stop() {
  clearTimeout(timer);
  current.abort?.abort();
  current = { hash: null, shown: null, abort: null, turn: current.turn + 1 };
}

/** Puts elements in the place of the old ones, without taking the focus or what was opened from whoever uses them. */
function put(elements) {
  const key = document.activeElement?.dataset?.key;
  const opened = [...main.querySelectorAll("details[open][data-key]")].map((one) => one.dataset.key);
  const scrolled = window.scrollY;
  const holder = h("div", {}, elements);
  main.replaceChildren(...holder.childNodes);
  for (const one of main.querySelectorAll("details[data-key]")) if (opened.includes(one.dataset.key)) one.open = true;
  if (key) main.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
  window.scrollTo(0, scrolled);
}

/** Whether somebody is in the middle of something that a new page would take away. */
function isBusy() {
  const typing = main.contains(document.activeElement) && ["INPUT", "SELECT"].includes(document.activeElement.tagName);
  const selecting = !getSelection().isCollapsed && main.contains(getSelection().anchorNode);
  return typing || selecting || document.getElementById("ask").open;
}

async function look(force = false) {
  clearTimeout(timer);
  current.abort?.abort();
  const turn = ++current.turn;
  const { name, view, about } = wanted();
  const abort = new AbortController();
  const isNew = current.hash !== location.hash;
  current.abort = abort;
  try {
    if (!isNew && !force && (document.hidden || isBusy())) return;
    const data = await view.load(about, abort.signal);
    if (turn !== current.turn) return;
    put(view.show(data, () => look(true)));
    frame(true);
    document.title = `${view.title} · Waxwing`;
    for (const link of document.querySelectorAll("#nav a")) {
      const is = link.getAttribute("href") === `#/${name === "message" ? "queue" : name}`;
      if (is) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
    }
    if (isNew) {
      if (current.hash !== null) { main.focus({ preventScroll: true }); window.scrollTo(0, 0); }
      current.hash = location.hash;
    }
  } catch (error) {
    if (error.name === "AbortError" || turn !== current.turn) return;
    if (error.status === 401) { token.forget(); return enter("The token is not accepted any more."); }
    put([h("h1", {}, view.title), h("section", { class: "sheet" }, h("p", { class: "fault" }, error.message))]);
    current.hash = location.hash;
  } finally {
    if (turn === current.turn) timer = setTimeout(look, LOOK_MS);
  }
}

async function start() {
  if (!token.get()) return enter();
  try {
    const [mine, status] = await Promise.all([get("/v1/token"), get("/v1/status")]);
    document.getElementById("host").textContent = status.hostname;
    document.body.classList.toggle("reads-only", mine.scope !== "admin");
  } catch (error) {
    // What fails for another reason may go with the same token later.
    if ([401, 403].includes(error.status)) token.forget();
    const why = { 401: "This token is wrong.", 403: "This token may not look at the server." };
    return enter(why[error.status] ?? error.message);
  }
  current.hash = null;
  await look();
}

document.getElementById("leave").addEventListener("click", () => { token.forget(); enter(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden && current.hash !== null) look(); });
addEventListener("hashchange", () => { if (token.get()) look(); });
start();
