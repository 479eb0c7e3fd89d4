// sender-tls: holds senders to TLS and to their own hosts. README.md says how; rules.ts decides.
//
// The top level runs when the component is built and must not call the server. One instance serves one session.

import type { Mailbox, Param, Verdict } from "waxwing:mail/types@0.1.0";
import type { Lifecycle } from "waxwing:mail/lifecycle@0.1.0";
import type { OnMail } from "waxwing:mail/on-mail@0.1.0";
import { authUser, peerName, tlsVersion } from "waxwing:mail/session@0.1.0";
import { allJson } from "waxwing:mail/config@0.1.0";
import { log } from "waxwing:mail/log@0.1.0";

import { objection, readSettings, type Settings } from "./rules.js";

let settings: Settings | undefined; // read once a session

export const lifecycle: Lifecycle = {
  /** Asked once when the file is loaded. What is thrown, a string, is the reason why it is refused. */
  init(): void {
    try {
      readSettings(allJson());
    } catch (error) {
      throw (error as Error).message;
    }
  },
};

export const onMail: OnMail = {
  mail(sender: Mailbox | null, _params: Param[]): Verdict {
    if (!sender) return { tag: "proceed" }; // the null sender is everybody's
    settings ??= readSettings(allJson());
    const client = { tls: tlsVersion() ?? null, name: peerName() ?? null, user: authUser() ?? null };
    const text = objection(settings, sender.domain, client);
    if (text === undefined) return { tag: "proceed" };
    log("info", text, [["client", client.name ?? ""]]);
    return settings.temporary
      ? { tag: "tempfail", val: { code: 450, status: { class: 4, subject: 7, detail: 0 }, text } }
      : { tag: "reject", val: { code: 550, status: { class: 5, subject: 7, detail: 0 }, text } };
  },
};
