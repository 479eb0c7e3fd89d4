// Which links of an HTML text show another host than they lead to. Without the server: the tests run this under node.

export const LIMITS = { octets: 256 * 1024, links: 500, hosts: 1000 };

const DEFAULTS = { action: "tag", field: "X-Link-Check", trusted: [] };

/** Throws an Error whose message names the setting and what it takes. */
export function readSettings(json) {
  const given = JSON.parse(json || "{}") ?? {};
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(DEFAULTS, key)) throw new Error(`unknown setting ${key}; there are ${Object.keys(DEFAULTS).join(", ")}`);
  }
  const { action, field, trusted } = { ...DEFAULTS, ...given };
  if (!["tag", "reject", "quarantine"].includes(action)) throw new Error("action is tag, reject or quarantine");
  if (typeof field !== "string" || !/^[!-9;-~]{1,60}$/.test(field)) throw new Error("field is the name of a header field");
  if (!Array.isArray(trusted) || trusted.length > LIMITS.hosts || trusted.some((host) => typeof host !== "string")) {
    throw new Error("trusted is a list of domains");
  }
  return { action, field, trusted: trusted.map((host) => host.toLowerCase()) };
}

/** The links that lie, as { shown, leadsTo }. */
export function lies(settings, html) {
  const found = [];
  let seen = 0;
  for (const [, attributes, text] of html.matchAll(/<a\b([^>]{0,4000})>(.{0,2000}?)<\/a\s*>/gis)) {
    if (++seen > LIMITS.links) break;
    const leadsTo = hostOf(attribute(attributes, "href"));
    const shown = shownHost(readable(text));
    if (!leadsTo || !shown || isSame(shown, leadsTo)) continue;
    if (settings.trusted.some((host) => isWithin(leadsTo, host))) continue;
    found.push({ shown, leadsTo });
  }
  return found;
}

/** The octets of a part as text; what is not in its charset is replaced. */
export function decode(octets, charset) {
  try {
    return new TextDecoder(charset ?? "utf-8").decode(octets);
  } catch {
    return new TextDecoder("windows-1252").decode(octets);
  }
}

function attribute(attributes, name) {
  const value = new RegExp(`(?:^|\\s)${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s"'>]+))`, "i").exec(attributes);
  return value ? entities(value[1] ?? value[2] ?? value[3]).trim() : "";
}

/** The host of a web address, in the spelling that the network uses; nothing for what is none. */
function hostOf(text) {
  try {
    const url = new URL(text.replace(/[\t\r\n]/g, ""));
    return ["http:", "https:"].includes(url.protocol) ? url.hostname.replace(/\.$/, "") : undefined;
  } catch {
    return undefined;
  }
}

// Letters of all scripts, digits and hyphens. The engine has no Unicode properties.
const LABEL = "[^\\s.\\x00-\\x2c\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x9f]+";
const ADDRESS = new RegExp(`^(https?://)?((?:${LABEL}\\.)+[a-z\\u00a1-\\uffff]{2,}(?:[:/?#]\\S*)?)$`, "i");

/** The host that a text shows, when it looks like a web address. */
function shownHost(text) {
  const [, scheme, rest] = ADDRESS.exec(text) ?? [];
  return rest ? hostOf(`${scheme ?? "http://"}${rest}`) : undefined;
}

const readable = (html) => entities(html.replace(/<[^>]*>/g, "")).replace(/[\s\u200b\u00ad]+/g, " ").trim();

const NAMED = { amp: "&", lt: "<", gt: ">", quot: "\"", apos: "'", nbsp: " ", shy: "\u00ad" };

function entities(text) {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(\w{2,8}));/gi, (whole, decimal, hex, name) => {
    if (name) return NAMED[name.toLowerCase()] ?? whole;
    const code = decimal ? Number(decimal) : parseInt(hex, 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

/** One lies within the other: example.org, www.example.org. */
const isSame = (a, b) => isWithin(a, b) || isWithin(b, a);
const isWithin = (host, domain) => host === domain || host.endsWith(`.${domain}`);
