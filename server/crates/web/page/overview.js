// How the server is, at one look.

import { get } from "./api.js";
import { h, sheet } from "./dom.js";
import { bars } from "./plot.js";
import { domains } from "./queue.js";
import { verdicts } from "./sessions.js";
import { age, number, plural, size, span } from "./words.js";

let by = "minute";

export const title = "Overview";

export async function load(_, signal) {
  const [status, places, outcomes, sessions] = await Promise.all([
    get("/v1/status", signal), get("/v1/destinations?limit=8", signal), get(`/v1/outcomes?by=${by}`, signal), get("/v1/sessions", signal),
  ]);
  return { status, places, outcomes, sessions };
}

function figure(value, text, to, attention) {
  return h(to ? "a" : "div", { class: `figure ${attention || ""}`, href: to }, h("b", {}, value), h("span", {}, text));
}

export function show({ status, places, outcomes, sessions }, again) {
  const lately = outcomes.points.slice(by === "minute" ? -60 : -24);
  const sum = (name) => lately.reduce((all, point) => all + point[name], 0);
  const when = by === "minute" ? "in the last hour" : "in the last day";
  const queue = status.queue;
  const broken = status.plugins.refused + status.plugins.missing;
  const choose = (value, text) => h("button", { type: "button", "data-key": `by-${value}`, "aria-pressed": String(by === value), onclick: () => { by = value; again(); } }, text);
  const span_of = h("div", { class: "switch", role: "group", "aria-label": "Span" }, choose("minute", "Six hours"), choose("hour", "Two weeks"));
  return [
    h("h1", {}, "Overview"),
    h("div", { class: "figures" },
      figure(number(queue.waiting), queue.oldest ? `waiting, the oldest ${age(queue.oldest)}` : "waiting", "#/queue"),
      figure(number(queue.held), "held", "#/quarantine", queue.held > 0 && "wait"),
      figure(number(sum("delivered")), `delivered ${when}`),
      figure(number(sum("bounced")), `bounced ${when}`, null, sum("bounced") > 0 && "bad"),
      figure(number(status.sessions.open), status.sessions.open === 1 ? "session open" : "sessions open", "#/sessions"),
      figure(number(status.plugins.loaded), broken ? `plugins run, ${broken} cannot` : "plugins run", "#/plugins", broken > 0 && "bad")),
    sheet("What became of mail", span_of, ...bars("Recipients", outcomes, ["delivered", "deferred", "bounced"])),
    sheet("What came in", null, ...bars("Messages", outcomes, ["accepted", "refused"], 120)),
    h("div", { class: "pair" },
      sheet("Queue by destination", h("a", { href: "#/queue" }, "All"), places.domains.length ? domains(places.domains) : h("p", { class: "empty" }, "Nothing waits.")),
      sheet("Lately refused or set aside", h("a", { href: "#/sessions" }, "All"), verdicts(sessions.verdicts.slice(0, 6)))),
    sheet("Server", null, h("dl", {},
      h("dt", {}, "Version"), h("dd", {}, status.version),
      h("dt", {}, "Up for"), h("dd", {}, span(status["uptime-s"])),
      h("dt", {}, "Listens at"), h("dd", {}, status.listeners.map((one) => `${one.name} ${one.address}`).join(", ")),
      h("dt", {}, "Queue on disk"), h("dd", {}, size(queue["disk-octets"]) + (queue["free-octets"] === null ? "" : `, ${size(queue["free-octets"])} free`)),
      queue.corrupt ? [h("dt", {}, "Set aside as damaged"), h("dd", { class: "fault" }, plural(queue.corrupt, "message"))] : null)),
  ];
}
