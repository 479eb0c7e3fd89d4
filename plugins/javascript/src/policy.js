// What happens to a message: the hook's logic, told of the server's services instead of importing them, so
// that node's test runner can run all of it.

import { ascii, decodeField } from "./encoded-words.js";

/** How much of a field is read, in octets, and how much of it the patterns look at, in characters. */
export const FIELD_OCTETS = 4000;
export const FIELD_CHARACTERS = 1000;

const refusal = (text) => ({ tag: "reject", val: { code: 550, status: { class: 5, subject: 7, detail: 1 }, text } });

/**
 * The verdict for the message in `transaction`. Edits are only staged: the server commits them when the hook
 * returns "proceed", and drops them when it refuses, throws or runs out of its budget.
 */
export function judgeMessage(settings, { transaction, kv, log }) {
  const refused = firstMatch(settings.reject, transaction);
  if (refused) {
    log.log("info", "message refused", [["pattern", refused.source]]);
    return refusal(`message refused: its ${refused.field} field is not accepted here`);
  }

  const tagged = firstMatch(settings.tag, transaction);
  if (tagged) {
    const strikes = settings.strikes > 0 ? countStrike(settings, transaction.sender(), { kv, log }) : 0;
    if (strikes > settings.strikes) {
      log.log("info", "message refused after too many strikes", [["pattern", tagged.source], ["strikes", `${strikes}`]]);
      return refusal("message refused: too many unwanted messages from this sender");
    }
    log.log("info", "message tagged", [["pattern", tagged.source]]);
    tagSubject(settings.tagText, transaction);
  }
  if (settings.field) stamp(settings.field, tagged ? `tagged; field=${tagged.field}` : "pass", transaction);
  return { tag: "proceed" };
}

/** The first pattern that one of its fields matches. Every field of the name counts: which one a reader sees is open. */
function firstMatch(patterns, transaction) {
  const texts = new Map();
  return patterns.find(({ field, expression }) => {
    if (!texts.has(field)) texts.set(field, transaction.headerAll(field).map(readable));
    return texts.get(field).some((text) => expression.test(text));
  });
}

/** Text as the eye takes it: decoded, and without look-alike forms such as full-width letters. */
function readable(octets) {
  const text = decodeField(octets.subarray(0, FIELD_OCTETS)).slice(0, FIELD_CHARACTERS);
  return /[^ -~]/.test(text) ? text.normalize("NFKC") : text;
}

/** How many tagged messages the sender has sent in this window; 0 when nobody is counted. */
function countStrike(settings, sender, { kv, log }) {
  if (!sender) return 0; // the null sender is everybody's: bounces are not held against each other
  const key = `strikes/${sender.local}@${sender.domain}`.toLowerCase();
  try {
    return kv.increment(key, 1, settings.strikeWindowS);
  } catch (error) {
    // A result's error arrives as an exception that carries the WIT value.
    log.log("warn", "strikes cannot be counted", [["error", error.payload?.tag ?? `${error}`]]);
    return 0;
  }
}

/** The tag goes before the raw value, so that encoded words and folds stay as they are. */
function tagSubject(text, transaction) {
  const [subject] = transaction.headerAll("Subject");
  if (subject === undefined) {
    transaction.addHeader("Subject", ascii(text), null);
    return;
  }
  const tag = ascii(subject.length > 0 ? `${text} ` : text);
  const value = new Uint8Array(tag.length + subject.length);
  value.set(tag);
  value.set(subject, tag.length);
  transaction.setHeader("Subject", 0, value);
}

/** Says on the message what was found; a field of that name that the sender put there goes away first. */
function stamp(field, text, transaction) {
  transaction.removeHeader(field, null);
  transaction.addHeader(field, ascii(text), 0);
}
