import assert from "node:assert/strict";
import test from "node:test";

import { decode, lies, readSettings } from "../src/rules.js";

const found = (html, settings = "{}") => lies(readSettings(settings), html);

test("a link that shows another host lies", () => {
  for (const html of [
    "<a href=\"https://evil.example/x\">https://bank.example/login</a>",
    "<A class=x HREF='http://evil.example'>\n www.<b>bank</b>.example </A>",
    "<a href=https://evil.example/?bank.example>bank&#46;example</a>",
    "<a href=\"https://bank.example@evil.example/\">bank.example</a>",
    "<a href=\"https://bank.example.evil.example/\">bank.example</a>",
    "<a href=\"https://xn--bnk-pla.example/\">bank.example</a>",
  ]) {
    assert.equal(found(html).length, 1, html);
  }
});

test("other links do not", () => {
  for (const html of [
    "<a href=\"https://www.bank.example/x\">bank.example</a>",
    "<a href=\"https://evil.example/x\">click here</a>",
    "<a href=\"mailto:ann@evil.example\">bank.example</a>",
    "<a href=\"https://b\u00fccher.example/\">xn--bcher-kva.example</a>",
    "<a name=\"x\">bank.example</a>",
    "no link at all",
  ]) {
    assert.deepEqual(found(html), [], html);
  }
  const tracked = "<a href=\"https://click.lists.example/1\">https://news.example/</a>";
  assert.deepEqual(found(tracked, "{\"trusted\": [\"lists.example\"]}"), []);
});

test("texts are decoded by their charset, known or not", () => {
  assert.equal(decode(Uint8Array.of(0xe4), "iso-8859-1"), "ä");
  assert.equal(decode(Uint8Array.of(0xe4), "x-unknown"), "ä");
});

test("settings that make no sense are named", () => {
  for (const [text, word] of [["{\"acton\": 1}", /acton/], ["{\"action\": \"x\"}", /action/], ["{\"field\": \"a b\"}", /field/], ["{\"trusted\": 1}", /trusted/]]) {
    assert.throws(() => readSettings(text), word);
  }
});

test("a hostile text takes no time", () => {
  const began = process.cpuUsage();
  found("<a href=".repeat(20_000));
  found(`<a href="x">${"<a ".repeat(20_000)}`);
  assert.ok(process.cpuUsage(began).user < 20_000_000);
});
