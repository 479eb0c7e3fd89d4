// link-check: finds links that show another host than they lead to. README.md says how; rules.js decides.
//
// The top level runs when the component is built and must not call the server. One instance serves one session.

import { addHeader, parts, readPart, removeHeader } from "waxwing:mail/transaction@0.1.0";
import { allJson } from "waxwing:mail/config@0.1.0";
import { log } from "waxwing:mail/log@0.1.0";

import { LIMITS, decode, lies, readSettings } from "./rules.js";

let settings; // read once a session

export const lifecycle = {
  /** Asked once when the file is loaded. What is thrown, a string, is the reason why it is refused. */
  init() {
    try {
      readSettings(allJson());
    } catch (error) {
      throw error.message;
    }
  },
};

export const onMessage = {
  message() {
    settings ??= readSettings(allJson());
    const found = parts().filter(isHtml).flatMap((part) => lies(settings, textOf(part)));
    // What the sender says of itself here counts for nothing.
    removeHeader(settings.field, undefined);
    if (found.length === 0) return { tag: "proceed" };
    const [{ shown, leadsTo }] = found;
    log("info", "a link leads elsewhere than it shows", [["shown", shown], ["leads-to", leadsTo], ["links", `${found.length}`]]);
    if (settings.action === "reject") {
      const text = `message refused: a link shows ${shown} and leads to ${leadsTo}`;
      return { tag: "reject", val: { code: 550, status: { class: 5, subject: 7, detail: 1 }, text } };
    }
    if (settings.action === "quarantine") return { tag: "quarantine", val: `a link shows ${shown} and leads to ${leadsTo}` };
    addHeader(settings.field, new TextEncoder().encode(`${found.length} lying; shown=${shown}; leads-to=${leadsTo}`), 0);
    return { tag: "proceed" };
  },
};

const isHtml = (part) => part.mediaType === "text/html" && part.disposition !== "attachment";

function textOf(part) {
  try {
    return decode(readPart(part.path, 0, LIMITS.octets), part.charset);
  } catch (error) {
    log("info", "a part cannot be read", [["error", error.payload?.tag ?? String(error)]]);
    return "";
  }
}
