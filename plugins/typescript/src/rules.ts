// What senders are held to, without the server: the tests run this under node.

/** What is asked of mail from a domain. */
export interface Rule {
  /** "TLSv1.2" or later, when there is any. */
  readonly tls: "none" | "any" | "TLSv1.3";
  /** Domains that the client's confirmed name lies in; none: any client. */
  readonly hosts: readonly string[];
}

export interface Settings {
  readonly domains: ReadonlyMap<string, Rule>;
  readonly temporary: boolean;
}

/** What is known of the client. */
export interface Client {
  readonly tls: string | null;
  readonly name: string | null;
  readonly user: string | null;
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const MOST_DOMAINS = 1000;

/** Throws an Error whose message names the setting and what it takes. */
export function readSettings(text: string): Settings {
  const given: Json = JSON.parse(text || "{}");
  const table = tableOf(given ?? {}, "the settings", ["domains", "temporary"]);
  const temporary = table["temporary"] ?? false;
  if (typeof temporary !== "boolean") throw new Error("temporary is true or false");
  const domains = new Map<string, Rule>();
  const rules = tableOf(table["domains"] ?? {}, "domains");
  for (const [domain, rule] of Object.entries(rules)) domains.set(domain.toLowerCase(), ruleOf(domain, rule));
  if (domains.size > MOST_DOMAINS) throw new Error(`domains are at most ${MOST_DOMAINS}`);
  return { domains, temporary };
}

function tableOf(value: Json, name: string, keys?: string[]): { [key: string]: Json } {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`${name} is no table`);
  for (const key of Object.keys(value)) {
    if (keys && !keys.includes(key)) throw new Error(`unknown setting ${key} in ${name}; there are ${keys.join(", ")}`);
  }
  return value;
}

function ruleOf(domain: string, value: Json): Rule {
  const { tls = "any", hosts = [] } = tableOf(value, `domains.${domain}`, ["tls", "hosts"]);
  if (tls !== "none" && tls !== "any" && tls !== "TLSv1.3") throw new Error(`tls of ${domain} is "none", "any" or "TLSv1.3"`);
  const list = typeof hosts === "string" ? [hosts] : hosts;
  const isTexts = (texts: Json): texts is string[] => Array.isArray(texts) && texts.every((text) => typeof text === "string");
  if (!isTexts(list)) throw new Error(`hosts of ${domain} is a list of domains`);
  return { tls, hosts: list.map((host) => host.toLowerCase()) };
}

/** Why this client may not send mail from the domain; nothing when it may. */
export function objection(settings: Settings, domain: string, client: Client): string | undefined {
  const rule = ruleFor(settings, domain.toLowerCase());
  // Who has authenticated is known by more than a host name.
  if (!rule || client.user !== null) return undefined;
  if (rule.tls !== "none" && client.tls === null) return `mail from ${domain} is taken over TLS only`;
  if (rule.tls === "TLSv1.3" && client.tls !== "TLSv1.3") return `mail from ${domain} is taken over TLS 1.3 only`;
  const name = client.name?.toLowerCase() ?? "";
  const isIn = (host: string): boolean => name === host || name.endsWith(`.${host}`);
  if (rule.hosts.length > 0 && !rule.hosts.some(isIn)) return `mail from ${domain} does not come from this host`;
  return undefined;
}

/** The rule of a domain, or of the nearest one above it. */
function ruleFor(settings: Settings, domain: string): Rule | undefined {
  for (let name = domain; name !== ""; name = name.includes(".") ? name.slice(name.indexOf(".") + 1) : "") {
    const rule = settings.domains.get(name);
    if (rule) return rule;
  }
  return undefined;
}
