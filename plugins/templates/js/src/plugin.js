// {{name}}: closes addresses, stamps messages, writes a footer below them, and slows down who sends too much.
//
// Settings: `closed` (an address that takes no mail any more), `footer` (a line of text), `per-hour` (messages of one sender in an
// hour; 0 for as many as there are). Grants: `kv`, for `per-hour`.
//
// The top level runs when the component is built and must not call the server. One instance serves one session.

import { addHeader, bodySize, copyBody, parts, sender, startBody, writeBody } from "waxwing:mail/transaction@0.1.0";
import { get } from "waxwing:mail/config@0.1.0";
import { increment } from "waxwing:mail/kv@0.1.0";
import { log } from "waxwing:mail/log@0.1.0";

import { address, footerFor, isClosed, readSettings, reject } from "./rules.js";

let settings; // read once a session

const STAMP = Uint8Array.from("{{name}}", (character) => character.charCodeAt(0));

export const lifecycle = {
  /** Asked once when the file is loaded. What is thrown, a string, is the reason why it is refused. */
  init() {
    try {
      readSettings(get);
    } catch (error) {
      throw error.message;
    }
  },
};

export const onRcpt = {
  rcpt(recipient, params) {
    settings ??= readSettings(get);
    return isClosed(settings, recipient)
      ? reject(550, [5, 1, 1], "nobody reads this address any more")
      : { tag: "proceed" };
  },
};

export const onMessage = {
  message() {
    settings ??= readSettings(get);
    if (sendsTooMuch(sender())) return reject(451, [4, 7, 1], "too many messages in one hour, please try again later");
    addHeader("X-Checked-By", STAMP, 0);
    const footer = footerFor(settings, parts()[0]);
    if (footer) {
      // The body stays where it is: only the footer is written.
      startBody();
      copyBody(0, bodySize());
      writeBody(footer);
    }
    return { tag: "proceed" };
  },
};

function sendsTooMuch(sender) {
  if (settings.perHour === 0 || !sender) return false;
  try {
    if (increment(`sent/${address(sender)}`.toLowerCase(), 1, 3600) <= settings.perHour) return false;
  } catch (error) {
    log("warn", "messages are not counted", [["error", error.payload?.tag ?? String(error)]]);
    return false;
  }
  log("info", `too many messages from ${address(sender)}`, []);
  return true;
}
