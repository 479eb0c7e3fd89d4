// What the plugin decides, without the server: the tests call this under node.

/** The settings as they are used. Throws an Error that names the one that makes no sense. */
export function readSettings(get) {
  const perHour = Number(get("per-hour") ?? 0);
  if (!Number.isInteger(perHour) || perHour < 0) throw new Error("per-hour is a number of messages, 0 for as many as there are");
  return { closed: (get("closed") ?? "").toLowerCase(), footer: get("footer") ?? "", perHour };
}

export const address = (mailbox) => `${mailbox.local}@${mailbox.domain}`;

export const isClosed = (settings, mailbox) => settings.closed !== "" && address(mailbox).toLowerCase() === settings.closed;

/** The octets that go below a text; nothing when it has none, or is not text as it stands. */
export function footerFor(settings, part) {
  const plain = part?.mediaType === "text/plain" && ["7bit", "8bit"].includes(part.encoding);
  return plain && settings.footer !== "" ? utf8(`-- \r\n${settings.footer}\r\n`) : undefined;
}

export const reject = (code, [class_, subject, detail], text) => ({
  tag: code < 500 ? "tempfail" : "reject",
  val: { code, status: { class: class_, subject, detail }, text },
});

/** QuickJS has the language, and hardly anything of the web: no TextEncoder. */
function utf8(text) {
  const octets = encodeURIComponent(text).replace(/%([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  return Uint8Array.from(octets, (octet) => octet.charCodeAt(0));
}
