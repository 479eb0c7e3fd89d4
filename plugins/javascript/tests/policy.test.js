import assert from "node:assert/strict";
import { test } from "node:test";

import { judgeMessage } from "../src/policy.js";
import { readSettings } from "../src/settings.js";
import { SessionDouble } from "./session-double.js";

const judge = (settings, session) => judgeMessage(readSettings(JSON.stringify(settings)), session);
const refused = (text) => ({ tag: "reject", val: { code: 550, status: { class: 5, subject: 7, detail: 1 }, text } });
const proceed = { tag: "proceed" };

test("a message that matches nothing is stamped and passes", () => {
  const session = new SessionDouble({ fields: [["Subject", "hello"]] });
  assert.deepEqual(judge({ reject: ["casino"], tag: ["free"] }, session), proceed);
  assert.deepEqual(session.header, ["X-Subject-Policy: pass", "Subject: hello"]);
});

test("a refused subject is 550 and nothing is edited", () => {
  const session = new SessionDouble({ fields: [["Subject", "Online CASINO"]] });
  assert.deepEqual(judge({ reject: ["casino"], tag: ["online"] }, session), refused("message refused: its Subject field is not accepted here"));
  assert.deepEqual(session.header, ["Subject: Online CASINO"]);
  assert.deepEqual(session.lines, [["info", "message refused", [["pattern", "casino"]]]]);
});

test("encoded words are read decoded", () => {
  for (const subject of ["=?utf-8?B?Y2FzaW5v?=", "=?UTF-8?q?c=61sino?=", "=?utf-8?B?Y2Fz?=\r\n =?utf-8?B?aW5v?="]) {
    const session = new SessionDouble({ fields: [["Subject", subject]] });
    assert.equal(judge({ reject: ["^casino$"] }, session).tag, "reject", subject);
  }
});

test("full-width letters are no way around", () => {
  const session = new SessionDouble({ fields: [["Subject", "ｃａｓｉｎｏ"]] });
  assert.equal(judge({ reject: "casino" }, session).tag, "reject");
});

test("a second Subject field is looked at as well", () => {
  const session = new SessionDouble({ fields: [["Subject", "hello"], ["subject", "casino"]] });
  assert.equal(judge({ reject: ["casino"] }, session).tag, "reject");
});

test("another field can be asked about", () => {
  const session = new SessionDouble({ fields: [["X-Mailer", "BulkBot 3"]] });
  assert.deepEqual(judge({ "reject-header": ["X-Mailer: ^bulkbot"] }, session), refused("message refused: its X-Mailer field is not accepted here"));
});

test("a tag stands before the raw subject, folds and encoded words kept", () => {
  const raw = "=?utf-8?q?free?=\r\n =?utf-8?q?_beer?=";
  const session = new SessionDouble({ fields: [["Subject", raw]] });
  assert.deepEqual(judge({ tag: ["free beer"], "tag-text": "[ad]" }, session), proceed);
  assert.deepEqual(session.header, ["X-Subject-Policy: tagged; field=Subject", `Subject: [ad] ${raw}`]);
});

test("a message without a subject gets one to carry the tag", () => {
  const session = new SessionDouble({ fields: [["X-Mailer", "bulk"]] });
  assert.deepEqual(judge({ "tag-header": ["X-Mailer: bulk"], field: "" }, session), proceed);
  assert.deepEqual(session.header, ["X-Mailer: bulk", "Subject: [suspicious]"]);
});

test("a stamp that the sender forged goes away", () => {
  const session = new SessionDouble({ fields: [["x-subject-policy", "pass"], ["Subject", "free"]] });
  judge({ tag: ["free"] }, session);
  assert.deepEqual(session.header, ["X-Subject-Policy: tagged; field=Subject", "Subject: [suspicious] free"]);
});

test("after its strikes a sender's tagged messages are refused", () => {
  const settings = { tag: ["free"], strikes: 2, "strike-window-s": 60 };
  const session = new SessionDouble({ fields: [["Subject", "free"]], sender: { local: "Ann", domain: "Example.NET" } });
  assert.deepEqual(judge(settings, session), proceed);
  assert.deepEqual(judge(settings, session), proceed);
  assert.deepEqual(judge(settings, session), refused("message refused: too many unwanted messages from this sender"));
  assert.deepEqual([...session.counters], [["strikes/ann@example.net", 3]]);
  assert.deepEqual(session.expiries, [60, 60, 60]);
});

test("ordinary messages cost a sender nothing", () => {
  const session = new SessionDouble({ fields: [["Subject", "hello"]] });
  judge({ tag: ["free"], strikes: 1 }, session);
  assert.equal(session.counters.size, 0);
});

test("the null sender collects no strikes", () => {
  const session = new SessionDouble({ fields: [["Subject", "free"]], sender: null });
  for (let i = 0; i < 3; i++) assert.deepEqual(judge({ tag: ["free"], strikes: 1 }, session), proceed);
  assert.equal(session.counters.size, 0);
});

test("without the grant kv messages are tagged and the log says what is missing", () => {
  const session = new SessionDouble({ fields: [["Subject", "free"]], kvError: { tag: "denied" } });
  assert.deepEqual(judge({ tag: ["free"], strikes: 1 }, session), proceed);
  assert.deepEqual(session.lines[0], ["warn", "strikes cannot be counted", [["error", "denied"]]]);
});

test("only the beginning of a field is searched", () => {
  const session = new SessionDouble({ fields: [["Subject", `${"x".repeat(1000)}casino`]] });
  assert.deepEqual(judge({ reject: ["casino"] }, session), proceed);
});
