// What waits: by destination, by reason, and message by message.

import { get, post } from "./api.js";
import { confirmed, h, say, sheet, table, tag } from "./dom.js";
import { age, number, plural, size, until } from "./words.js";

export const title = "Queue";

const ASKED = ["state", "domain", "sender", "recipient", "reason", "after"];

export async function load(query, signal) {
  const wanted = new URLSearchParams({ limit: "100" });
  for (const name of ASKED) if (query.get(name)) wanted.set(name, query.get(name));
  const [places, page] = await Promise.all([get("/v1/destinations", signal), get(`/v1/queue?${wanted}`, signal)]);
  return { places, page, query: String(query) };
}

function to(name, value) {
  return `#/queue?${new URLSearchParams({ [name]: value })}`;
}

/** The queue by destination. */
export function domains(rows) {
  return table("The queue by destination", [
    { title: "Domain", kind: "name", cell: (row) => h("a", { href: to("domain", row.name) }, row.name) },
    { title: "Waiting", kind: "number", cell: (row) => number(row.waiting) },
    { title: "Held", kind: "number", cell: (row) => number(row.held) },
    { title: "Oldest", kind: "narrow", cell: (row) => age(row.oldest) },
    { title: "Last said", cell: (row) => row.reason ? h("span", { class: "reason", title: row.reason }, row.reason) : null },
  ], rows);
}

const ORDERS = { retry: ["Try now", "due now"], hold: ["Hold", "held"], release: ["Release", "due now"], remove: ["Remove", "removed"] };

/** Buttons that change one entry. */
export function orders(id, names, again) {
  const button = (name) => h("button", {
    type: "button", class: `change small${name === "remove" ? " danger" : ""}`, "data-key": `${name}-${id}`,
    onclick: async () => {
      const sure = name !== "remove" || await confirmed("Remove this message?", `${id} leaves the queue, and nobody is told.`, "Remove");
      if (!sure) return;
      try {
        const done = await post(`/v1/queue/${id}/${name}`);
        say(done === "after-attempt" ? `${id} is being tried; it is ${ORDERS[name][1]} afterwards.` : `${id} is ${ORDERS[name][1]}.`);
      } catch (error) {
        say(error.message, true);
      }
      again();
    },
  }, ORDERS[name][0]);
  return h("div", { class: "buttons" }, names.map(button));
}

function recipients(row) {
  const more = row["recipients-left"] - row.recipients.length;
  return [row.recipients.join(", "), more > 0 ? h("span", { class: "soft" }, ` and ${number(more)} more`) : null];
}

function entries(page, again) {
  return table("Messages in the queue", [
    { title: "Message", kind: "whole id", cell: (row) => [h("a", { class: "mono", href: `#/message/${row.id}` }, row.id), h("div", { class: "soft" }, `${size(row.size)}, ${age(row.arrived)} old`)] },
    { title: "For", kind: "name wide", cell: (row) => [h("div", {}, recipients(row)), h("div", { class: "soft" }, row.sender ? `from ${row.sender}` : "from nobody (a report)")] },
    { title: "State", kind: "narrow", cell: (row) => row.state === "held" ? tag("held", "bad") : [tag(row.attempts ? "deferred" : "waiting", row.attempts ? "wait" : "in"), row.due ? h("div", { class: "soft" }, until(row.due)) : null] },
    { title: "Last said", cell: (row) => row.reason ? h("span", { class: "reason", title: row.reason }, row.reason) : null },
    { title: "", kind: "whole acts", cell: (row) => orders(row.id, row.state === "held" ? ["release", "remove"] : ["retry", "hold", "remove"], again) },
  ], page.entries);
}

function filter(query) {
  const field = (name, text, kind = "text") => h("label", {}, text, h("input", { name, type: kind, value: query.get(name) ?? "", autocomplete: "off", spellcheck: "false", "data-key": `filter-${name}` }));
  const state = h("select", { name: "state", "data-key": "filter-state" }, [["", "any"], ["waiting", "waiting"], ["deferred", "deferred"], ["held", "held"]].map(([value, text]) => h("option", { value, selected: (query.get("state") ?? "") === value }, text)));
  const go = (event) => {
    event.preventDefault();
    const wanted = [...new FormData(event.target)].filter(([, value]) => value !== "");
    location.hash = `#/queue${wanted.length ? `?${new URLSearchParams(wanted)}` : ""}`;
  };
  return h("form", { class: "filter", onsubmit: go, "aria-label": "Which messages" },
    field("domain", "Domain"), field("sender", "Sender"), field("recipient", "Recipient"), field("reason", "Reason has"), h("label", {}, "State", state),
    h("div", { class: "buttons" }, h("button", { class: "primary", type: "submit" }, "Show"), query.size ? h("a", { class: "button", href: "#/queue" }, "All") : null));
}

export function show({ places, page, query }, again) {
  const asked = new URLSearchParams(query);
  const left = places["domains-left"] ? h("span", { class: "soft" }, `and ${plural(places["domains-left"], "recipient")} of other domains`) : null;
  const next = new URLSearchParams(asked);
  if (page.next) next.set("after", page.next);
  return [
    h("div", { class: "row" }, h("h1", {}, "Queue"), h("span", { class: "soft" }, `${plural(places.waiting, "recipient")} waiting, ${number(places.held)} held`)),
    asked.size === 0 ? [
      sheet("By destination", left, places.domains.length ? domains(places.domains) : h("p", { class: "empty" }, "Nothing waits.")),
      places.reasons.length ? sheet("By reason", null, table("The queue by reason", [
        { title: "Reason", cell: (row) => h("a", { href: to("reason", row.name) }, row.name) },
        { title: "Waiting", kind: "number", cell: (row) => number(row.waiting) },
        { title: "Held", kind: "number", cell: (row) => number(row.held) },
        { title: "Oldest", kind: "narrow", cell: (row) => age(row.oldest) },
      ], places.reasons)) : null,
      hops(places["next-hops"]),
    ] : null,
    sheet("Messages", null, filter(asked),
      page.entries.length ? entries(page, again) : h("p", { class: "empty" }, page.next ? "None so far; there may be some further on." : "None."),
      page.next ? h("p", {}, h("a", { class: "button", href: `#/queue?${next}` }, "Next page")) : null),
  ].flat();
}

function hops(rows) {
  if (!rows.length) return null;
  return sheet("Next hops", null, table("Hosts that mail goes to", [
    { title: "Next hop", kind: "name", cell: (row) => row.name },
    { title: "At work", kind: "number", cell: (row) => number(row.queued) },
    { title: "Connections", kind: "number", cell: (row) => number(row.connections) },
    { title: "Rests for", kind: "narrow", cell: (row) => row["backoff-s"] === null ? null : `${row["backoff-s"]} s` },
    { title: "Last error", cell: (row) => row["last-error"] ? h("span", { class: "reason", title: row["last-error"] }, row["last-error"]) : null },
  ], rows));
}
