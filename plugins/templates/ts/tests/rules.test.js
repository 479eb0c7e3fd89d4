import assert from "node:assert/strict";
import test from "node:test";

import { footerFor, isClosed, readSettings } from "../build/src/rules.js";

const settings = (values) => readSettings((key) => values[key] ?? null);

test("a closed address is closed however it is written", () => {
  const closed = settings({ closed: "nobody@example.org" });
  assert.ok(isClosed(closed, { local: "Nobody", domain: "Example.org" }));
  assert.ok(!isClosed(closed, { local: "alice", domain: "example.org" }));
  assert.ok(!isClosed(settings({}), { local: "", domain: "" }));
});

test("only plain text gets a footer", () => {
  const footer = settings({ footer: "hi" });
  assert.equal(footerFor(footer, { mediaType: "text/plain", encoding: "7bit" }).length, 9);
  assert.equal(footerFor(footer, { mediaType: "text/html", encoding: "7bit" }), undefined);
  assert.equal(footerFor(footer, { mediaType: "text/plain", encoding: "base64" }), undefined);
  assert.equal(footerFor(settings({}), { mediaType: "text/plain", encoding: "7bit" }), undefined);
});

test("a number of messages is a whole one", () => {
  assert.throws(() => settings({ "per-hour": "many" }), /per-hour/);
  assert.equal(settings({ "per-hour": "2" }).perHour, 2);
});
