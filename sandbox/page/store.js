// What the page knows. Events say what has changed; the state itself is always fetched, so that nothing drifts apart.

import { toast } from "./dom.js";

const MESSAGES = 100;
const PHONES_LISTED = 40;
const OPEN_MS = 40;
const CLOSED_MS = 400;

export const state = {
  clock: { anchor_real: Date.now() / 1000, anchor_product: Date.now() / 1000, speed: 1 },
  skew: 0,
  connected: false,
  me: sessionStorage.getItem("me") ?? "U0MAYA",
  people: new Map(),
  groups: new Map(),
  shortcuts: {},
  botUser: "",
  channels: [],
  listedFor: "", // whose list `channels` is: what one person may see is refused to another
  content: new Map(),
  channel: sessionStorage.getItem("channel") ?? "",
  thread: null,
  editing: null,
  views: [],
  home: null,
  atHome: false,
  customers: [],
  customersListed: false, // until then nobody knows that there are none
  customerCount: 0,
  chats: new Map(),
  typing: new Map(),
  open: [],
  seen: new Map(JSON.parse(sessionStorage.getItem("seen") ?? "[]")),
  answers: new Map(),
};

const listeners = new Map();
const wanted = new Set();

/** Call `draw` after something of this kind has changed: clock, phones, slack, views, connection. */
export function on(kind, draw) {
  listeners.set(kind, [...(listeners.get(kind) ?? []), draw]);
}

/** Something has changed; everything that shows it is drawn once, soon. */
export function changed(...kinds) {
  if (!wanted.size) setTimeout(draw, 0);
  for (const kind of kinds) wanted.add(kind);
}

function draw() {
  const kinds = [...wanted];
  wanted.clear();
  for (const one of new Set(kinds.flatMap((kind) => listeners.get(kind) ?? []))) one();
}

/** Product time in milliseconds. */
export function nowMs() {
  const { anchor_real, anchor_product, speed } = state.clock;
  const passed = Math.max(0, Date.now() / 1000 + state.skew - anchor_real);
  return (anchor_product + passed * speed) * 1000;
}

let newestAnchor = -Infinity;

export function setClock(clock) {
  if (clock.anchor_real < newestAnchor) return; // an answer that was overtaken by what somebody has set since
  newestAnchor = clock.anchor_real;
  if (clock.now !== undefined && clock.speed > 0) {
    const real = clock.anchor_real + (clock.now - clock.anchor_product) / clock.speed;
    state.skew = real - Date.now() / 1000;
  }
  state.clock = clock;
  changed("clock");
}

/** A GET on the sandbox; null when it cannot be reached or refuses. */
export async function get(path) {
  try {
    const response = await fetch(path, { cache: "no-store" });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

/** A POST on the control interface. A refusal is shown and gives null. */
export async function post(path, fields, { quiet = false } = {}) {
  try {
    const response = await fetch(`/control/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(fields),
    });
    const answer = await response.json();
    if (answer.ok) return answer;
    if (!quiet) toast(refusal(answer.error), "bad");
  } catch {
    if (!quiet) toast("The sandbox cannot be reached. Is it still running?", "bad");
  }
  return null;
}

const REFUSALS = {
  operation_timeout: "The app did not answer in time. Is the bot running?",
  not_in_channel: "This person is not a member of the channel.",
  is_archived: "The channel is archived.",
  dispatch_failed: "Nobody listens to this. Is the bot running?",
  message_not_found: "The message is no longer there.",
  no_text: "There is nothing to send.",
  msg_too_long: "The message is too long for Slack.",
};

function refusal(error) {
  return REFUSALS[error] ?? `Refused: ${String(error).replaceAll("_", " ")}`;
}

// Fetching, at most one request at a time for each thing, and not more often than somebody could see

const loads = new Map();

/** `fetcher` gets a function that says whether its answer still counts: what was asked before a reset does not. */
function load(key, delay, fetcher) {
  const running = loads.get(key);
  if (running) {
    running.again = true;
    return;
  }
  const entry = { again: false };
  loads.set(key, entry);
  const counts = () => loads.get(key) === entry;
  setTimeout(async () => {
    if (!counts()) return;
    entry.again = false;
    await fetcher(counts);
    if (!counts()) return;
    loads.delete(key);
    if (entry.again) load(key, delay, fetcher);
  }, delay);
}

export function loadChannel(id, delay = 0) {
  load(`channel ${id}`, delay, async (counts) => {
    const me = state.me;
    if (me !== state.listedFor) return; // the list that comes for this person loads what is in it
    const answer = await get(`/control/slack/channel/${encodeURIComponent(id)}?user=${me}&limit=${MESSAGES}`);
    if (!answer || !counts() || me !== state.me) return;
    state.content.set(id, answer);
    changed("slack");
  });
}

export function loadViews() {
  load("views", 0, async (counts) => {
    const me = state.me;
    const answer = await get(`/control/slack/views?user=${me}`);
    if (!answer || !counts() || me !== state.me) return;
    state.views = answer.views.filter((view) => view.type === "modal");
    state.home = answer.views.findLast((view) => view.type === "home") ?? null;
    changed("views");
  });
}

export function loadChannels() {
  load("channels", 0, async (counts) => {
    const me = state.me;
    const answer = await get(`/control/slack/channels?user=${me}`);
    if (!answer || !counts() || me !== state.me) return;
    state.channels = answer.channels;
    state.listedFor = me;
    if (!state.channels.some((one) => one.id === state.channel)) state.channel = state.channels[0]?.id ?? "";
    for (const channel of state.channels) loadChannel(channel.id);
    changed("slack");
  });
}

function loadPeople() {
  load("people", 0, async (counts) => {
    const answer = await get("/control/slack/people");
    if (!answer || !counts()) return;
    state.people = new Map(answer.users.map((user) => [user.id, user]));
    state.groups = new Map(answer.usergroups.map((group) => [group.id, group]));
    state.botUser = answer.bot_user_id;
    state.shortcuts = answer.shortcuts ?? {};
    const first = answer.users.find((user) => !user.is_bot);
    if (first && !state.people.has(state.me)) actAs(first.id);
    changed("slack");
  });
}

export function loadCustomers() {
  load("customers", 0, async (counts) => {
    const answer = await get("/control/telegram/customers");
    if (!answer || !counts()) return;
    const known = state.chats;
    // A phone opened a moment ago may be of somebody newer than this answer: only who was listed before can be gone.
    const listed = (all, id) => all.some((one) => one.chat_id === id);
    state.open = state.open.filter((id) => listed(answer.customers, id) || !listed(state.customers, id));
    state.customerCount = answer.customers.length;
    state.customersListed = true;
    state.customers = answer.customers.slice(-PHONES_LISTED);
    for (const customer of state.customers) if (!known.has(customer.chat_id)) loadChat(customer.chat_id);
    changed("phones");
  });
}

function loadChat(id, delay = 0) {
  load(`chat ${id}`, delay, async (counts) => {
    const answer = await get(`/control/telegram/chat/${id}`);
    if (!answer || !counts()) return;
    state.chats.set(id, answer);
    changed("phones");
  });
}

// Events

const EVENTS = {
  reset: () => {
    loads.clear();
    state.chats.clear();
    state.content.clear();
    state.seen.clear();
    state.thread = null;
    loadAll();
  },
  clock: (event) => setClock(event),
  "telegram.customer": () => loadCustomers(),
  "telegram.action": (event) => {
    state.typing.set(event.chat_id, Date.now() + 5000);
    changed("phones");
    setTimeout(() => changed("phones"), 5100);
  },
  "telegram.query_answer": (event) => {
    state.answers.set(event.query_id, event);
    if (event.text) toast(event.text);
  },
  "slack.channel": () => loadChannels(),
  "slack.user": () => loadPeople(),
  "slack.usergroup": () => loadPeople(),
  "slack.settings": () => loadPeople(),
  "slack.view": (event) => event.user === state.me && loadViews(),
  "slack.view_closed": (event) => event.user === state.me && loadViews(),
  "slack.connections": () => changed("connection"),
};

function happened(event) {
  if (EVENTS[event.type]) EVENTS[event.type](event);
  else if (event.type.startsWith("telegram.")) {
    if (event.from === "bot" && event.type === "telegram.message") state.typing.delete(event.chat_id);
    if (!state.customers.some((one) => one.chat_id === event.chat_id)) loadCustomers();
    loadChat(event.chat_id, state.open.includes(event.chat_id) ? OPEN_MS : CLOSED_MS);
  } else if (event.type.startsWith("slack.") && event.channel) {
    if (event.type === "slack.ephemeral" && event.user !== state.me) return;
    if (!state.channels.some((one) => one.id === event.channel)) return; // somebody else's, or not listed yet
    loadChannel(event.channel, event.channel === state.channel ? OPEN_MS : CLOSED_MS);
  }
}

export function loadAll() {
  get("/clock").then((clock) => clock && setClock(clock));
  for (const id of state.chats.keys()) loadChat(id);
  loadPeople();
  loadChannels();
  loadViews();
  loadCustomers();
}

/** Listen for ever; the browser connects again by itself, and then everything is loaded anew. */
export function listen() {
  const source = new EventSource("/events");
  source.onopen = () => {
    state.connected = true;
    newestAnchor = -Infinity; // it may be another sandbox, on a machine that was set back
    loadAll();
    changed("connection");
  };
  source.onerror = () => {
    state.connected = false;
    changed("connection");
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  };
  source.onmessage = (message) => happened(JSON.parse(message.data));
}

// What has been read

/** The ts of the newest message that this person has seen in a channel, or the id on a phone. */
export const seen = (key) => state.seen.get(key) ?? "";

export function markSeen(key, value) {
  if (state.seen.get(key) === value) return false;
  state.seen.set(key, value);
  sessionStorage.setItem("seen", JSON.stringify([...state.seen]));
  return true;
}

/** Act as somebody else. */
export function actAs(user) {
  state.me = user;
  sessionStorage.setItem("me", user);
  state.content.clear();
  state.editing = null;
  state.views = [];
  state.home = null;
  loadChannels();
  loadViews();
  if (state.atHome) lookHome();
  changed("slack", "views");
}

/** The app is told whenever somebody opens its Home tab, and publishes what they see there. */
function lookHome() {
  post("slack/home", { user: state.me }, { quiet: true });
}

export function showHome() {
  state.atHome = true;
  state.thread = null;
  lookHome();
  changed("slack");
}

/** Show a channel, and a thread in it if given. */
export function show(channel, thread = null) {
  state.atHome = false;
  if (channel !== state.channel) state.thread = null;
  state.channel = channel;
  sessionStorage.setItem("channel", channel);
  if (thread) state.thread = thread;
  state.editing = null;
  changed("slack");
}
