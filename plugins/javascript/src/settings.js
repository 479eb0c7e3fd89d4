// The plugin's settings: JSON in, checked and compiled settings out. README.md lists them.

export const LIMITS = { patterns: 100, patternCharacters: 500 };

const DEFAULTS = {
  "reject": [],
  "tag": [],
  "reject-header": [],
  "tag-header": [],
  "tag-text": "[suspicious]",
  "field": "X-Subject-Policy",
  "strikes": 0,
  "strike-window-s": 3600,
};

/** Throws an Error whose message names the setting and what it takes. */
export function readSettings(json) {
  const given = JSON.parse(json || "null") ?? {}; // a plugin without settings gets null
  if (typeof given !== "object" || Array.isArray(given)) throw new Error("the settings are no table");
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(DEFAULTS, key)) throw new Error(`unknown setting ${key}; there are ${Object.keys(DEFAULTS).join(", ")}`);
  }
  const raw = { ...DEFAULTS, ...given };
  return {
    reject: [...patterns(raw, "reject", subjectPattern), ...patterns(raw, "reject-header", headerPattern)],
    tag: [...patterns(raw, "tag", subjectPattern), ...patterns(raw, "tag-header", headerPattern)],
    tagText: checked(raw, "tag-text", (text) => /^[!-~]([ -~]{0,60}[!-~])?$/.test(text), "up to 62 printable ASCII characters"),
    field: checked(raw, "field", (name) => /^[!-9;-~]{0,60}$/.test(name), "a header field name, or nothing for no field"),
    strikes: checked(raw, "strikes", (n) => isWhole(n, 0, 1_000_000), "a whole number, 0 for no counting"),
    strikeWindowS: checked(raw, "strike-window-s", (n) => isWhole(n, 1, 31_536_000), "seconds, from 1 to a year"),
  };
}

const isWhole = (value, least, most) => Number.isInteger(value) && value >= least && value <= most;

function checked(raw, key, isRight, wanted) {
  const value = raw[key];
  const right = typeof value === typeof DEFAULTS[key] && isRight(value);
  if (!right) throw new Error(`setting ${key} is ${JSON.stringify(value)}; it takes ${wanted}`);
  return value;
}

/** A list of patterns; a single string is a list of one. */
function patterns(raw, key, compile) {
  const list = typeof raw[key] === "string" ? [raw[key]] : raw[key];
  if (!Array.isArray(list) || list.some((item) => typeof item !== "string")) {
    throw new Error(`setting ${key} takes a list of patterns`);
  }
  if (list.length > LIMITS.patterns) throw new Error(`setting ${key} has more than ${LIMITS.patterns} patterns`);
  return list.map((source) => {
    if (source.length > LIMITS.patternCharacters) {
      throw new Error(`setting ${key} has a pattern of more than ${LIMITS.patternCharacters} characters`);
    }
    try {
      return compile(source);
    } catch (error) {
      throw new Error(`setting ${key}: ${JSON.stringify(source)} is no pattern: ${error.message}`);
    }
  });
}

function subjectPattern(source) {
  return { source, field: "Subject", expression: new RegExp(source, "iu") };
}

/** "Field-Name: pattern" */
function headerPattern(source) {
  const [, field, pattern] = /^([!-9;-~]+):\s*(.+)$/.exec(source) ?? [];
  if (!field) throw new Error("it takes the form \"Field-Name: pattern\"");
  return { source, field, expression: new RegExp(pattern, "iu") };
}
