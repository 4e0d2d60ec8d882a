// Moments as people read them, in the time zone of this browser; "now" is the sandbox's fast clock.

const LOCALE = "en-GB";
const DAY_MS = 86_400_000;
const made = new Map();

function format(ms, options) {
  const key = JSON.stringify(options);
  if (!made.has(key)) made.set(key, new Intl.DateTimeFormat(LOCALE, { hourCycle: "h23", ...options }));
  return made.get(key).format(ms);
}

/** `14:05` */
export const clockTime = (ms) => format(ms, { hour: "2-digit", minute: "2-digit" });

/** `Mon 23 Nov, 14:05:09` */
export const fullTime = (ms) =>
  format(ms, {
    weekday: "short",
    day: "numeric",
    month: "short",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });

/** `Today`, `Yesterday`, `Monday, 23 November` */
export function dayName(ms, nowMs) {
  return pretty(ms, nowMs) ?? format(ms, { weekday: "long", day: "numeric", month: "long" });
}

/** A number that is the same for all moments of a local day. */
export function dayNumber(ms) {
  const date = new Date(ms);
  return Math.round(Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / DAY_MS);
}

function pretty(ms, nowMs) {
  return { "-1": "Yesterday", 0: "Today", 1: "Tomorrow" }[dayNumber(ms) - dayNumber(nowMs)];
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

const TOKENS = {
  date_num: (ms) => format(ms, { year: "numeric", month: "2-digit", day: "2-digit" }).split("/").reverse().join("-"),
  date: (ms) => format(ms, { day: "numeric", month: "long", year: "numeric" }),
  date_short: (ms) => format(ms, { day: "numeric", month: "short", year: "numeric" }),
  date_long: (ms) => format(ms, { weekday: "long", day: "numeric", month: "long", year: "numeric" }),
  date_slash: (ms) => format(ms, { day: "2-digit", month: "2-digit", year: "numeric" }),
  day_divider_pretty: (ms, nowMs) => dayName(ms, nowMs),
  time: (ms) => clockTime(ms),
  time_secs: (ms) => format(ms, { hour: "2-digit", minute: "2-digit", second: "2-digit" }),
  ago: (ms, nowMs) => distance(ms, nowMs),
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
    const title = `${fullTime(ms)} · ${distance(ms, nowMs)}`;
    if (node.title !== title) node.title = title;
  }
}
