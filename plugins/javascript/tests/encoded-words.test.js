import assert from "node:assert/strict";
import { test } from "node:test";

import { decodeField } from "../src/encoded-words.js";

const decode = (raw) => decodeField(typeof raw === "string" ? new TextEncoder().encode(raw) : Uint8Array.from(raw));

for (const [raw, wanted] of [
  ["plain text", "plain text"],
  ["", ""],
  ["folded\r\n text", "folded text"],
  ["grün", "grün"], // UTF-8 as it is: RFC 6532
  [[0x67, 0x72, 0xfc, 0x6e], "grün"], // ISO 8859-1 as it should not be
  ["=?ISO-8859-1?Q?a?=", "a"], // the examples of RFC 2047 section 8
  ["=?ISO-8859-1?Q?a?= b", "a b"],
  ["=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"],
  ["=?ISO-8859-1?Q?a?=  \r\n    =?ISO-8859-1?Q?b?=", "ab"],
  ["=?ISO-8859-1?Q?a_b?=", "a b"],
  ["=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a =?ISO-8859-2?Q?_b?="],
  ["=?iso-8859-1?q?gr=FCn?= =?utf-8?b?Z3LDvG4=?=", "grüngrün"],
  ["=?utf-8?b?Z3LD?= =?utf-8?b?vG4=?=", "grün"], // cut inside a character
  ["=?utf-8*de?q?gr=C3=BCn?=", "grün"], // a language: RFC 2231 section 5
  ["=?utf-8?q?=ff?=", "ÿ"],
  ["100 % grün, 50%25", "100 % grün, 50%25"], // a percent sign is one
  [`${"x".repeat(3000)}ü`, `${"x".repeat(3000)}ü`],
  ["=?utf-8?x?a?= =?broken", "=?utf-8?x?a?= =?broken"],
]) {
  test(`${String(raw).slice(0, 60)} is read as ${wanted.slice(0, 60)}`, () => assert.equal(decode(raw), wanted));
}
