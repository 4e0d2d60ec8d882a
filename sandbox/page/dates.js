// Moments as people read them, in the time zone of this browser; what stands in Slack in the language and on the clock
// of whoever one acts as, as Slack tells it. "Now" is the sandbox's fast clock.

import { state } from "./store.js";

const LOCALE = "en-GB";
const HERE = { locale: LOCALE, zone: undefined };
const DAY_MS = 86_400_000;
const TIME = { hour: "2-digit", minute: "2-digit" };
const UNITS = [
  [86_400, "day"],
  [3600, "hour"],
  [60, "minute"],
  [1, "second"],
];
const made = new Map();

function format(ms, options, { locale, zone } = HERE) {
  const key = JSON.stringify([locale, zone, options]);
  if (!made.has(key))
    made.set(key, new Intl.DateTimeFormat(locale, { hourCycle: "h23", timeZone: zone, ...options }));
  return made.get(key).format(ms);
}

/** Who reads Slack here; an odd language or zone of theirs is that of this browser. */
function reader() {
  const { locale, tz } = state.people.get(state.me) ?? {};
  const theirs = { locale: locale || LOCALE, zone: tz || undefined };
  try {
    format(0, {}, theirs);
    return theirs;
  } catch {
    return HERE;
  }
}

/** `14:05`, on the clock of whoever one acts as */
export const slackTime = (ms) => format(ms, TIME, reader());

/** `14:05` */
export const clockTime = (ms) => format(ms, TIME);

const FULL = { weekday: "short", day: "numeric", month: "short", ...TIME, second: "2-digit" };

/** `Mon 23 Nov, 14:05:09` */
export const fullTime = (ms) => format(ms, FULL);

/** `Mon 23 Nov, 14:05:09 · 3 minutes ago`, in the language and on the clock of whoever one acts as */
export const slackTitle = (ms, nowMs) => `${format(ms, FULL, reader())} · ${slackDistance(ms, nowMs)}`;

/** `Today`, `Yesterday`, `Monday, 23 November`, as Slack says it */
export function dayName(ms, nowMs) {
  return pretty(ms, nowMs) ?? format(ms, { weekday: "long", day: "numeric", month: "long" }, reader());
}

/** A number that is the same for all moments of a day of whoever one acts as. */
export function dayNumber(ms) {
  const day = format(ms, { year: "numeric", month: "2-digit", day: "2-digit" }, { ...reader(), locale: LOCALE });
  const [date, month, year] = day.split("/").map(Number);
  return Math.round(Date.UTC(year, month - 1, date) / DAY_MS);
}

function relative(numeric) {
  const { locale } = reader();
  const key = `${locale} ${numeric}`;
  if (!made.has(key)) made.set(key, new Intl.RelativeTimeFormat(locale, { numeric }));
  return made.get(key);
}

function pretty(ms, nowMs) {
  const days = dayNumber(ms) - dayNumber(nowMs);
  if (Math.abs(days) > 1) return undefined;
  const word = relative("auto").format(days, "day");
  return word[0].toUpperCase() + word.slice(1);
}

/** `in 2 h 5 min`, `3 min ago`, `now` */
export function distance(ms, nowMs) {
  const seconds = Math.round(Math.abs(ms - nowMs) / 1000);
  if (seconds < 5) return "now";
  const words =
    seconds < 60
      ? `${seconds} s`
      : seconds < 3600
        ? `${Math.round(seconds / 60)} min`
        : seconds < 86_400
          ? `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`
          : `${Math.floor(seconds / 86_400)} d ${Math.round((seconds % 86_400) / 3600)} h`;
  return ms > nowMs ? `in ${words}` : `${words} ago`;
}

/** `in 2 hours`, `3 minutes ago`, `now`, as Slack says it */
function slackDistance(ms, nowMs) {
  const seconds = Math.round((ms - nowMs) / 1000);
  if (Math.abs(seconds) < 5) return relative("auto").format(0, "second");
  const [size, unit] = UNITS.find(([one]) => Math.abs(seconds) >= one);
  return relative("always").format(Math.trunc(seconds / size), unit);
}

const TOKENS = {
  date_num: (ms) => new Date(dayNumber(ms) * DAY_MS).toISOString().slice(0, 10),
  date: (ms) => format(ms, { day: "numeric", month: "long", year: "numeric" }, reader()),
  date_short: (ms) => format(ms, { day: "numeric", month: "short", year: "numeric" }, reader()),
  date_long: (ms) => format(ms, { weekday: "long", day: "numeric", month: "long", year: "numeric" }, reader()),
  date_slash: (ms) => format(ms, { day: "2-digit", month: "2-digit", year: "numeric" }, reader()),
  day_divider_pretty: (ms, nowMs) => dayName(ms, nowMs),
  time: (ms) => slackTime(ms),
  time_secs: (ms) => format(ms, { hour: "2-digit", minute: "2-digit", second: "2-digit" }, reader()),
  ago: (ms, nowMs) => slackDistance(ms, nowMs),
};

/** A Slack date token such as `{date_short_pretty} at {time}` in local words. */
export function slackDate(pattern, ms, nowMs) {
  return pattern.replace(/\{(\w+)\}/g, (whole, name, at) => {
    if (TOKENS[name]) return TOKENS[name](ms, nowMs);
    const plain = name.replace(/_pretty$/, "");
    if (!TOKENS[plain]) return whole;
    const word = pretty(ms, nowMs);
    if (!word) return TOKENS[plain](ms, nowMs);
    return at === 0 ? word : word.toLowerCase();
  });
}

/** Bring every date on the page up to date; only those that read differently now are touched. */
export function refreshDates(root, nowMs) {
  for (const node of root.querySelectorAll("time[data-pattern]")) {
    const ms = Number(node.dataset.epoch) * 1000;
    const text = slackDate(node.dataset.pattern, ms, nowMs);
    if (node.textContent !== text) node.textContent = text;
    const title = slackTitle(ms, nowMs);
    if (node.title !== title) node.title = title;
  }
}
