// What is held: look at it, and let it go or take it out.

import { get } from "./api.js";
import { h, say, sheet } from "./dom.js";
import { looks } from "./message.js";
import { orders } from "./queue.js";
import { age, number, size } from "./words.js";

export const title = "Quarantine";

/** The message that is looked at, and what it looks like. */
let opened = { id: null, preview: null };

export async function load(query, signal) {
  const wanted = new URLSearchParams();
  if (query.get("after")) wanted.set("after", query.get("after"));
  return get(`/v1/quarantine?${wanted}`, signal);
}

function message(held, again) {
  const isOpen = opened.id === held.id;
  const look = async () => {
    if (isOpen) opened = { id: null, preview: null };
    else {
      try {
        opened = { id: held.id, preview: await get(`/v1/queue/${held.id}/preview`) };
      } catch (error) {
        return say(error.message, true);
      }
    }
    again();
  };
  const more = held["recipients-left"] - held.recipients.length;
  return h("article", { class: "plugin", "aria-label": held.subject || held.id },
    h("div", { class: "row" },
      h("div", {},
        h("h3", {}, held.subject || "Without a subject"),
        h("p", { class: "soft" }, `${held.from || held.sender || "nobody"} → ${held.recipients.join(", ")}${more > 0 ? ` and ${number(more)} more` : ""}`)),
      h("div", { class: "buttons" },
        h("button", { type: "button", class: "small", "data-key": `look-${held.id}`, "aria-expanded": String(isOpen), onclick: look }, isOpen ? "Close" : "Preview"),
        orders(held.id, ["release", "remove"], again))),
    h("p", { class: "fault" }, held.reason ?? ""),
    h("p", { class: "soft" }, h("a", { class: "mono", href: `#/message/${held.id}` }, held.id), `, ${size(held.size)}, ${age(held.arrived)} old`),
    isOpen && opened.preview ? h("div", { class: "sheet" }, looks(opened.preview)) : null);
}

export function show({ messages, next }, again) {
  return [
    h("h1", {}, "Quarantine"),
    sheet("Held messages", null,
      messages.length ? messages.map((held) => message(held, again)) : h("p", { class: "empty" }, next ? "None so far; there may be some further on." : "Nothing is held."),
      next ? h("p", {}, h("a", { class: "button", href: `#/quarantine?${new URLSearchParams({ after: next })}` }, "Next page")) : null),
  ];
}
