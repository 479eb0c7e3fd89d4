// What the plugin decides, without the server: the tests call this under node.

import type { Mailbox, Verdict } from "waxwing:mail/types@0.1.0";
import type { Part } from "waxwing:mail/transaction@0.1.0";

export interface Settings {
  closed: string;
  footer: string;
  perHour: number;
}

/** The settings as they are used. Throws an Error that names the one that makes no sense. */
export function readSettings(get: (key: string) => string | null): Settings {
  const perHour = Number(get("per-hour") ?? 0);
  if (!Number.isInteger(perHour) || perHour < 0) throw new Error("per-hour is a number of messages, 0 for as many as there are");
  return { closed: (get("closed") ?? "").toLowerCase(), footer: get("footer") ?? "", perHour };
}

export const address = (mailbox: Mailbox): string => `${mailbox.local}@${mailbox.domain}`;

export const isClosed = (settings: Settings, mailbox: Mailbox): boolean =>
  settings.closed !== "" && address(mailbox).toLowerCase() === settings.closed;

/** The octets that go below a text; nothing when it has none, or is not text as it stands. */
export function footerFor(settings: Settings, part: Pick<Part, "mediaType" | "encoding"> | undefined): Uint8Array | undefined {
  const plain = part?.mediaType === "text/plain" && ["7bit", "8bit"].includes(part.encoding);
  return plain && settings.footer !== "" ? utf8(`-- \r\n${settings.footer}\r\n`) : undefined;
}

export function reject(code: number, [class_, subject, detail]: [number, number, number], text: string): Verdict {
  return { tag: code < 500 ? "tempfail" : "reject", val: { code, status: { class: class_, subject, detail }, text } };
}

/** QuickJS has the language, and hardly anything of the web: no TextEncoder. */
function utf8(text: string): Uint8Array {
  const octets = encodeURIComponent(text).replace(/%([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return Uint8Array.from(octets, (octet) => octet.charCodeAt(0));
}
