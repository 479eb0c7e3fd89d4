// Numbers, times and sizes as people read them.

const SPANS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** A span in its two largest units: "2 d 4 h". */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const first = SPANS.findIndex(([, length]) => whole >= length);
  if (first < 0) return "0 s";
  const [unit, length] = SPANS[first];
  const rest = SPANS[first + 1];
  const more = rest && whole < length * 10 ? Math.floor((whole % length) / rest[1]) : 0;
  return `${Math.floor(whole / length)} ${unit}${more ? ` ${more} ${rest[0]}` : ""}`;
}

/** How long ago a time was. */
export function age(time) {
  return time ? span((Date.now() - Date.parse(time)) / 1000) : "";
}

/** A time to come. */
export function until(time) {
  const seconds = (Date.parse(time) - Date.now()) / 1000;
  return seconds <= 0 ? "now" : `in ${span(seconds)}`;
}

export function clock(time) {
  const at = new Date(time);
  const isToday = at.toDateString() === new Date().toDateString();
  const hours = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
  return isToday ? hours : `${at.toLocaleDateString([], { day: "numeric", month: "short" })}, ${hours}`;
}

export function number(count) {
  return Number(count).toLocaleString("en").replaceAll(",", "\u202f");
}

export function size(octets) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [value, nth] = [octets, 0];
  while (value >= 1024 && nth < units.length - 1) [value, nth] = [value / 1024, nth + 1];
  return `${value >= 10 || nth === 0 ? Math.round(value) : value.toFixed(1)} ${units[nth]}`;
}

export function micros(us) {
  if (us < 1000) return `${Math.round(us)} µs`;
  return us < 1e6 ? `${(us / 1000).toFixed(us < 1e4 ? 1 : 0)} ms` : `${(us / 1e6).toFixed(1)} s`;
}

export function plural(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}
