// Who is connected, and what was decided that was not a yes.

import { get } from "./api.js";
import { h, sheet, table, tag } from "./dom.js";
import { age, number, plural } from "./words.js";

export const title = "Sessions";

export async function load(_, signal) {
  return get("/v1/sessions", signal);
}

const KINDS = { reject: "bad", tempfail: "wait", quarantine: "wait", discard: "bad" };
const WORDS = { reject: "refused", tempfail: "put off", quarantine: "held", discard: "discarded" };

/** Decisions that were not a yes. */
export function verdicts(rows) {
  if (!rows.length) return h("p", { class: "empty" }, "Nothing lately.");
  return table("Lately refused or set aside", [
    { title: "When", kind: "narrow", cell: (row) => `${age(row.at)} ago` },
    { title: "What", kind: "narrow", cell: (row) => tag(WORDS[row.verdict] ?? row.verdict, KINDS[row.verdict]) },
    { title: "Who", kind: "name", cell: (row) => [row.peer, h("div", { class: "soft" }, `${row.listener}${row.stage ? `, at ${row.stage}` : ""}`)] },
    { title: "Said", cell: (row) => [h("span", { class: "reason", title: row.text }, row.text), row.by ? h("div", { class: "soft" }, `by ${row.by}`) : null] },
  ], rows);
}

export function show({ open, sessions, verdicts: said }) {
  const list = sessions.length ? table("Sessions that are open", [
    { title: "Client", kind: "name", cell: (row) => [row.peer, row["peer-name"] ? h("div", { class: "soft" }, row["peer-name"]) : null] },
    { title: "Listener", kind: "narrow", cell: (row) => row.listener },
    { title: "Says it is", cell: (row) => row.helo },
    { title: "User", cell: (row) => row.user },
    { title: "TLS", kind: "narrow", cell: (row) => row.tls ? tag(row.tls, "good") : tag("none") },
    { title: "Open for", kind: "narrow", cell: (row) => age(row.began) },
    { title: "Messages", kind: "number", cell: (row) => number(row.messages) },
    { title: "Last verdict", cell: (row) => row.verdict ? h("span", { class: "reason", title: row.verdict.text }, row.verdict.text) : null },
  ], sessions) : h("p", { class: "empty" }, "Nobody is connected.");
  return [
    h("div", { class: "row" }, h("h1", {}, "Sessions"), h("span", { class: "soft" }, plural(open, "session"), " open")),
    sheet("Open now", open > sessions.length ? h("span", { class: "soft" }, `the newest ${number(sessions.length)}`) : null, list),
    sheet("Lately refused or set aside", null, verdicts(said)),
  ];
}
