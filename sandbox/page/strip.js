// The strip on top: what happens inside the product, and the fast clock.

import { distance, fullTime, refreshDates } from "./dates.js";
import { setAttr, setText } from "./dom.js";
import { changed, get, nowMs, on, post, setClock, state } from "./store.js";

const at = (id) => document.getElementById(id);
const ASK_MS = 1500;
const DUE = /<!date\^(\d+)\^[^>]*>/;
const SURE = /\*([^*\n]+)\* (\d{1,3}%)/;
const UNSURE = /Not sure: ([^·\n]+)/;

let numbers = new Map();
let about = { running: false, connections: 0, waiting: 0 };

/** Prometheus' text format as a map from `name{labels}` to numbers. */
function parse(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const match = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match) found.set(`${match[1]}{${match[2] ?? ""}}`, Number(match[3]));
  }
  return found;
}

/** The sum over all labels of a metric, of those that `wanted` allows. */
function sum(name, wanted = () => true) {
  let total = 0;
  for (const [key, value] of numbers) if (key.startsWith(`${name}{`) && wanted(key)) total += value;
  return total;
}

/** The cards on the desk, newest first: what the app has written into channels that carries a date or a guess. */
function cards() {
  const found = [];
  for (const { messages } of state.content.values())
    for (const message of messages) {
      if (!message.bot_id || !message.blocks) continue;
      const words = message.blocks.map((block) => block.text?.text ?? "").join("\n");
      found.push({ ts: message.ts, words });
    }
  return found.sort((a, b) => Number(b.ts) - Number(a.ts));
}

function fill(id, text, quiet = false) {
  setText(at(id), text);
  at(id).classList.toggle("quiet", quiet);
}

const count = (value) => new Intl.NumberFormat("en-GB").format(value);

function draw() {
  const running = about.running;
  at("strip").classList.toggle("down", !running);
  setText(at("bot-state"), !state.connected ? "connecting…" : running ? "running" : "the bot is not running");
  setAttr(at("bot-state"), "class", running && state.connected ? "state up" : "state off");
  setText(
    at("bot-links"),
    running
      ? `${about.connections} Slack ${about.connections === 1 ? "socket" : "sockets"}`
      : "start it with relaydesk run",
  );
  const shown = (value) => (running ? count(value) : "–");
  fill("inbox-received", shown(sum("relaydesk_messages_in_total")));
  fill("inbox-waiting", running ? count(sum("relaydesk_lanes_waiting") + about.waiting) : count(about.waiting));
  fill("inbox-done", shown(sum("relaydesk_decisions_total")));
  fill("outbox-waiting", shown(sum("relaydesk_outbox_waiting")));
  const sent = (key) => key.includes('outcome="sent"');
  fill("outbox-sent", shown(sum("relaydesk_deliveries_total", sent)));
  const failed = sum("relaydesk_deliveries_total", (key) => /outcome="dead"/.test(key));
  fill("outbox-failed", shown(failed));
  at("outbox-failed").parentElement.classList.toggle("alarm", running && failed > 0);
  drawIntent(running);
  drawClocks(running);
}

function drawIntent(running) {
  const all = cards();
  const sure = all.map((card) => SURE.exec(card.words)).find(Boolean);
  const last = all.find((card) => SURE.test(card.words) || UNSURE.test(card.words));
  const unsure = last && !SURE.test(last.words) ? UNSURE.exec(last.words) : null;
  if (unsure) fill("intent", `not sure: ${unsure[1].split(",")[0].trim()}`);
  else fill("intent", sure ? `${sure[1]} ${sure[2]}` : "nothing yet", !sure);
  const read = sum("relaydesk_classify_seconds_count");
  const each = read ? (sum("relaydesk_classify_seconds_sum") / read) * 1000 : 0;
  fill(
    "intent-count",
    running && read ? `${count(read)} read, ${each < 10 ? each.toFixed(1) : Math.round(each)} ms each` : "",
  );
}

function drawClocks(running) {
  const now = nowMs();
  const due = cards()
    .map((card) => DUE.exec(card.words))
    .filter(Boolean)
    .map((match) => Number(match[1]) * 1000);
  const ahead = due.filter((ms) => ms > now).sort((a, b) => a - b);
  const late = due.length - ahead.length;
  const announced = sum("relaydesk_sla_alerts_total", (key) => /kind="[^"]*breach/.test(key));
  fill("clocks-running", count(ahead.length));
  fill("clocks-next", ahead.length ? distance(ahead[0], now).replace(/^in /, "") : "none", !ahead.length);
  setAttr(at("clocks-next"), "title", ahead.length ? fullTime(ahead[0]) : null);
  fill("clocks-breached", count(running ? Math.max(late, announced) : late));
  at("clocks-breached").parentElement.classList.toggle("alarm", late > 0);
}

function drawClock() {
  const speed = state.clock.speed;
  setText(at("product-time"), fullTime(nowMs()));
  for (const button of at("speeds").querySelectorAll("button[data-speed]"))
    setAttr(button, "aria-pressed", Number(button.dataset.speed) === speed ? "true" : "false");
}

async function ask() {
  if (document.hidden) return;
  const [product, desk] = await Promise.all([get("/control/product/metrics"), get("/control/state")]);
  about = {
    running: Boolean(product?.running),
    connections: desk?.slack?.connections ?? 0,
    waiting: desk?.telegram?.pending_updates ?? 0,
  };
  numbers = parse(product?.text ?? "");
  changed("connection");
}

async function askAgain() {
  try {
    await ask();
  } finally {
    setTimeout(askAgain, ASK_MS);
  }
}

function tick() {
  drawClock();
  refreshDates(document, nowMs());
  drawClocks(about.running);
}

export function start() {
  at("speeds").addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const wish =
      button.dataset.speed !== undefined
        ? { speed: Number(button.dataset.speed) }
        : { advance_s: Number(button.dataset.advance) };
    const answer = await post("clock", wish);
    if (answer) setClock(answer);
  });
  on("clock", () => {
    drawClock();
    changed("slack");
  });
  on("connection", draw);
  on("slack", draw);
  setInterval(tick, 500);
  document.addEventListener("visibilitychange", ask);
  askAgain();
}
