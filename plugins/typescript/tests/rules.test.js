// Of what the compiler made: `RULES` names the folder.
import assert from "node:assert/strict";
import test from "node:test";

const { objection, readSettings } = await import(`${process.env.RULES}/rules.js`);

const settings = readSettings(JSON.stringify({
  domains: {
    "bank.example": { hosts: ["mx.bank.example", "Cloud.example"] },
    "strict.example": { tls: "TLSv1.3" },
    "old.example": { tls: "none", hosts: "old.example" },
  },
}));
const client = (tls, name, user = null) => ({ tls, name, user });

test("a domain is held to TLS and its hosts, and so are those below it", () => {
  assert.equal(objection(settings, "bank.example", client("TLSv1.2", "a.cloud.example")), undefined);
  assert.match(objection(settings, "Bank.example", client(null, "a.cloud.example")), /TLS only/);
  assert.match(objection(settings, "sub.bank.example", client("TLSv1.3", "evil.example")), /this host/);
  assert.match(objection(settings, "bank.example", client("TLSv1.3", "evilcloud.example")), /this host/);
  assert.match(objection(settings, "bank.example", client("TLSv1.3", null)), /this host/);
  assert.match(objection(settings, "strict.example", client("TLSv1.2", null)), /1\.3/);
  assert.equal(objection(settings, "strict.example", client("TLSv1.3", null)), undefined);
  assert.equal(objection(settings, "old.example", client(null, "old.example")), undefined);
});

test("other domains and users who have authenticated are let alone", () => {
  assert.equal(objection(settings, "example.com", client(null, null)), undefined);
  assert.equal(objection(settings, "notbank.example", client(null, null)), undefined);
  assert.equal(objection(settings, "bank.example", client(null, null, "ann")), undefined);
});

test("settings that make no sense are named", () => {
  for (const [text, word] of [
    ['{"domain": {}}', /domain/],
    ['{"domains": []}', /domains/],
    ['{"domains": {"a.example": {"tls": "yes"}}}', /tls of a.example/],
    ['{"domains": {"a.example": {"hosts": [1]}}}', /hosts of a.example/],
    ['{"temporary": "no"}', /temporary/],
  ]) {
    assert.throws(() => readSettings(text), word);
  }
  assert.equal(readSettings("{}").domains.size, 0);
});
