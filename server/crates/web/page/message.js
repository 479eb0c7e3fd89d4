// One message: its whole history, and what it looks like.

import { get, save } from "./api.js";
import { h, say, sheet, tag } from "./dom.js";
import { orders } from "./queue.js";
import { age, clock, plural, size, until } from "./words.js";

export const title = "Message";

export async function load(id, signal) {
  const history = await get(`/v1/messages/${encodeURIComponent(id)}`, signal);
  // It may leave the queue between the two.
  const preview = history.entry ? await get(`/v1/queue/${encodeURIComponent(id)}/preview`, signal).catch(() => null) : null;
  return { history, preview };
}

const KINDS = { delivered: "good", deferred: "wait", waiting: "in", held: "bad", bounced: "bad", expired: "bad" };

function step(kind, at, text, host) {
  return h("li", { class: kind }, h("div", {}, text), h("time", { datetime: at }, `${clock(at)}, ${age(at)} ago`, host ? ` · ${host}` : null));
}

/** A recipient with every attempt that is remembered. */
function recipient(one, outcomes) {
  const known = new Set(one.history.map((attempt) => attempt.reply));
  const ended = outcomes.filter((outcome) => outcome.recipient === one.address && !known.has(outcome.reply));
  const state = one.state === "waiting" && one.attempts ? "deferred" : one.state;
  const facts = [
    one.original ? `named as ${one.original}` : null,
    one.attempts ? plural(one.attempts, "attempt") : "not tried yet",
    one.due ? `next ${until(one.due)}` : null,
  ].filter(Boolean).join(", ");
  return h("div", { class: "plugin" },
    h("div", { class: "row" }, h("h3", {}, one.address), tag(state, KINDS[state])),
    h("p", { class: "soft" }, facts),
    one["held-because"] ? h("p", { class: "fault" }, one["held-because"]) : null,
    h("ol", { class: "steps" },
      one.history.map((attempt) => step(one.state === "delivered" && attempt.at === one["last-attempt"] ? "delivered" : "deferred", attempt.at, attempt.reply, attempt.host)),
      ended.map((outcome) => step(outcome.outcome, outcome.at, outcome.reply, outcome.host))));
}

/** What a message looks like, as text. */
export function looks(preview) {
  const fact = (name, value) => value ? [h("dt", {}, name), h("dd", {}, value)] : null;
  return [
    h("dl", {}, fact("From", preview.from), fact("To", preview.to), fact("Cc", preview.cc), fact("Subject", preview.subject), fact("Date", preview.date ? clock(preview.date) : null)),
    preview.text ? h("pre", { tabindex: "0", "aria-label": "The text of the message" }, preview.text) : h("p", { class: "empty" }, "It has no text."),
    preview["text-was"] === "text/html" ? h("p", { class: "soft" }, "This was HTML; it is shown as text.") : null,
    preview.attachments.length ? h("div", {}, h("h3", {}, "Attachments"), h("ul", {}, preview.attachments.map((part) => h("li", {}, `${part.name ?? "without a name"} `, h("span", { class: "soft" }, `${part.type}, ${size(part.size)}`))))) : null,
    h("details", { "data-key": "header" }, h("summary", {}, "Header"), h("pre", { tabindex: "0", "aria-label": "The header of the message" }, preview.header)),
    preview.truncated ? h("p", { class: "soft" }, "There is more than is shown.") : null,
  ];
}

export function show({ history, preview }, again) {
  const { id, entry, outcomes } = history;
  const names = new Set(entry?.recipients.map((one) => one.state));
  const can = [names.has("waiting") ? ["retry", "hold"] : [], names.has("held") ? ["release"] : [], entry ? ["remove"] : []].flat();
  const download = () => save(`/v1/queue/${id}/content`, `${id}.eml`).catch((error) => say(error.message, true));
  return [
    h("div", { class: "row" },
      h("div", {}, h("h1", {}, preview?.subject || "Message"), h("p", { class: "soft mono" }, id)),
      entry ? h("div", { class: "buttons" }, orders(id, can, again), h("button", { type: "button", class: "small", "data-key": "save", onclick: download }, "Save as file")) : tag("no longer in the queue")),
    sheet("Envelope", null, h("dl", {},
      h("dt", {}, "From"), h("dd", {}, history.sender || "nobody (a report)"),
      entry ? [h("dt", {}, "Arrived"), h("dd", {}, `${clock(entry.arrived)}, ${age(entry.arrived)} ago`), h("dt", {}, "Size"), h("dd", {}, size(entry.size))] : null,
      entry?.active ? [h("dt", {}, "Now"), h("dd", {}, "an attempt is under way")] : null)),
    entry
      ? sheet(plural(entry.recipients.length, "recipient"), null, entry.recipients.map((one) => recipient(one, outcomes)))
      : sheet("What became of it", null, h("ol", { class: "steps" }, outcomes.map((outcome) => step(outcome.outcome, outcome.at, [h("b", {}, outcome.recipient), ` ${outcome.outcome}: ${outcome.reply}`], outcome.host)))),
    preview ? sheet("What it looks like", null, looks(preview)) : null,
  ];
}
