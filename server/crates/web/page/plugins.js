// Plugins and milters: how long they take, what they decide, and whether they are trusted at the moment.

import { get, post } from "./api.js";
import { confirmed, h, say, sheet, tag } from "./dom.js";
import { micros, number, plural, size } from "./words.js";

export const title = "Plugins";

export async function load(_, signal) {
  return get("/v1/plugins", signal);
}

const BREAKERS = { closed: ["runs", "good"], open: ["switched off by its breaker", "bad"], "half-open": ["being tried again", "wait"] };

async function order(name, what, again) {
  try {
    const done = await post(`/v1/plugins/${encodeURIComponent(name)}/${what}`);
    const refused = [done].flat().find((one) => one?.refused);
    if (refused) say(`${refused.name}: ${refused.refused}`, true);
    else say(what === "reload" ? `${name} was read again.` : `${name}: ${what}d.`);
  } catch (error) {
    say(error.message, true);
  }
  again();
}

function verdicts(counts) {
  return Object.entries(counts).filter(([, count]) => count > 0).map(([name, count]) => h("span", {}, h("b", {}, number(count)), ` ${name}`));
}

function buttons(plugin, again) {
  const button = (what, text, kind = "") => h("button", {
    type: "button", class: `change small ${kind}`, "data-key": `${what}-${plugin.name}`,
    onclick: async () => {
      const sure = what !== "disable" || await confirmed(`Disable ${plugin.name}?`, "No session that begins from now on asks it, until it is enabled again.", "Disable");
      if (sure) order(plugin.name, what, again);
    },
  }, text);
  return h("div", { class: "buttons" }, button("reload", "Reload"), button("disable", "Disable", "danger"));
}

function asked(one) {
  return [
    h("div", { class: "facts" },
      h("span", {}, h("b", {}, number(one.calls)), ` ${one.calls === 1 ? "call" : "calls"}`),
      one["p50-us"] === undefined
        ? h("span", {}, "mean ", h("b", {}, micros(one["mean-us"])))
        : h("span", {}, "median ", h("b", {}, micros(one["p50-us"])), ", 95 % within ", h("b", {}, micros(one["p95-us"])), ", longest ", h("b", {}, micros(one["max-us"]))),
      one.failures ? h("span", { class: "fault" }, plural(one.failures, "failure")) : null,
      one["not-asked"] ? h("span", {}, h("b", {}, number(one["not-asked"])), " not asked") : null),
    h("div", { class: "facts" }, verdicts(one.verdicts)),
    one["last-error"] ? h("p", { class: "fault" }, `Last failure: ${one["last-error"]}`) : null,
  ];
}

function plugin(one, again) {
  const [text, kind] = BREAKERS[one.breaker] ?? [one.breaker, ""];
  return h("article", { class: "plugin", "aria-label": one.name },
    h("div", { class: "row" }, h("div", { class: "buttons" }, h("h3", {}, one.name), tag(text, kind)), buttons(one, again)),
    h("p", { class: "soft" }, `Generation ${one.generation}, ${size(one.size)}; asked at ${one.hooks.join(", ") || "nothing"}; when it fails: ${one["on-failure"]}`),
    asked(one));
}

function milter(one) {
  const [text, kind] = BREAKERS[one.breaker] ?? [one.breaker, ""];
  return h("article", { class: "plugin", "aria-label": one.name },
    h("div", { class: "buttons" }, h("h3", {}, one.name), tag("milter"), tag(text, kind)),
    h("p", { class: "soft" }, `${one.address}; when it fails: ${one["on-failure"]}`),
    asked(one));
}

/** One that the postmaster has taken out. */
function disabled(one, again) {
  const byOperator = one.by === "operator";
  const enable = h("button", { type: "button", class: "change small", "data-key": `enable-${one.name}`, onclick: () => order(one.name, "enable", again) }, "Enable");
  return h("article", { class: "plugin", "aria-label": one.name },
    h("div", { class: "row" }, h("div", { class: "buttons" }, h("h3", {}, one.name), tag("disabled", "wait")),
      byOperator ? enable : h("span", { class: "soft" }, "by the configuration")));
}

export function show(all, again) {
  const reload = async () => {
    try {
      const done = await post("/v1/plugins/reload");
      const refused = done.filter((one) => one.refused);
      say(refused.length ? refused.map((one) => `${one.name}: ${one.refused}`).join("; ") : `${plural(done.length, "plugin")} read again.`, refused.length > 0);
    } catch (error) {
      say(error.message, true);
    }
    again();
  };
  const faults = [...all.missing, ...all.refused];
  const out = all.disabled;
  return [
    h("div", { class: "row" }, h("h1", {}, "Plugins"), h("button", { type: "button", class: "change", "data-key": "reload-all", onclick: reload }, "Reload all")),
    faults.length ? sheet("Not running", null, faults.map((one) => h("p", { class: "fault" }, h("b", {}, one.name), `: ${one.reason}`))) : null,
    sheet("In the order in which they are asked", h("span", { class: "soft" }, `${number(all.instances)} of ${number(all["instances-limit"])} instances`),
      all.plugins.length || out.length ? [all.plugins.map((one) => plugin(one, again)), out.map((one) => disabled(one, again))] : h("p", { class: "empty" }, "There are none.")),
    all.milters.length ? sheet("Milters", null, all.milters.map(milter)) : null,
  ];
}
