import assert from "node:assert/strict";
import { test } from "node:test";

import { LIMITS, readSettings } from "../src/settings.js";

const reads = (settings) => () => readSettings(JSON.stringify(settings));

test("no settings are settings", () => {
  for (const json of ["", "null", "{}"]) {
    const settings = readSettings(json);
    assert.deepEqual([settings.reject, settings.tag, settings.strikes], [[], [], 0]);
  }
});

test("a single pattern is a list of one", () => {
  assert.equal(readSettings('{"reject": "casino"}').reject.length, 1);
});

for (const [settings, message] of [
  [["casino"], /the settings are no table/],
  [{ rejects: [] }, /unknown setting rejects; there are reject, tag,/],
  [{ reject: 7 }, /setting reject takes a list of patterns/],
  [{ reject: ["a", 7] }, /setting reject takes a list of patterns/],
  [{ tag: ["("] }, /setting tag: "\(" is no pattern: /],
  [{ "reject-header": ["no colon"] }, /setting reject-header: "no colon" is no pattern: it takes the form "Field-Name: pattern"/],
  [{ reject: Array(LIMITS.patterns + 1).fill("a") }, /setting reject has more than 100 patterns/],
  [{ reject: ["a".repeat(LIMITS.patternCharacters + 1)] }, /pattern of more than 500 characters/],
  [{ "tag-text": "two\r\nlines" }, /setting tag-text is "two\\r\\nlines"; it takes up to 62 printable ASCII/],
  [{ "tag-text": "" }, /setting tag-text is ""/],
  [{ field: "X Y" }, /setting field is "X Y"; it takes a header field name/],
  [{ strikes: -1 }, /setting strikes is -1; it takes a whole number/],
  [{ strikes: "3" }, /setting strikes is "3"/],
  [{ "strike-window-s": 0 }, /setting strike-window-s is 0; it takes seconds/],
]) {
  test(`refused: ${JSON.stringify(settings).slice(0, 60)}`, () => assert.throws(reads(settings), message));
}
