// The small Slack: who acts, the channels, the open channel, the open thread.

import { composer } from "./composer.js";
import { h, keepingEnd, keyed, readFiles, setAttr, setText, toast } from "./dom.js";
import { drawList, walkable } from "./messages.js";
import { personName, shownName } from "./mrkdwn.js";
import { actAs, changed, markSeen, on, post, seen, show, state } from "./store.js";

const at = (id) => document.getElementById(id);
const KNOWN_ROLES = [
  ["S0LEADS", "lead"],
  ["S0AGENTS", "agent"],
];
let shownPlace = "";
let shownThread = "";

/** What this person sees in a channel: messages and, between them, what was whispered to them. */
function visible(content, thread) {
  if (!content) return [];
  const whispers = (content.ephemerals[state.me] ?? [])
    .filter((one) => (thread ? one.thread_ts === thread : !one.thread_ts))
    .map((one) => ({ ...one, ephemeral: true }));
  let messages = content.messages;
  if (thread) {
    const root = content.messages.find((one) => one.ts === thread);
    messages = root ? [root, ...(root.replies ?? [])] : [];
  } else messages = messages.map(({ replies: _replies, ...message }) => message);
  return [...messages, ...whispers].sort((a, b) => Number(a.ts) - Number(b.ts));
}

function newest(channel) {
  return state.content.get(channel)?.messages.at(-1)?.ts ?? "";
}

function unread(channel) {
  const last = seen(`${state.me} ${channel}`);
  return (state.content.get(channel)?.messages ?? []).filter((one) => one.ts > last && one.user !== state.me).length;
}

function channelName(channel) {
  return channel.name ? channel.name : personName(state.botUser);
}

function drawChannels() {
  keyed(at("channels"), state.channels, {
    key: (channel) => channel.id,
    signature: (channel) =>
      JSON.stringify([
        channelName(channel),
        channel.is_private,
        channel.is_archived,
        channel.members.includes(state.me),
      ]),
    make: (channel) => {
      const mine = channel.members.includes(state.me);
      const sign = channel.is_im ? "●" : channel.is_private ? "🔒︎" : "#";
      return h(
        "button",
        {
          class: mine && !channel.is_archived ? "channel" : "channel dim",
          "data-testid": `channel-${channelName(channel)}`,
          "data-channel": channel.id,
          title: mine ? "" : `${personName(state.me)} is not a member`,
          onclick: () => show(channel.id),
        },
        h("span", { class: "sign", "aria-hidden": "true" }, sign),
        h("span", { class: "name" }, channelName(channel)),
        h("span", { class: "count" }),
      );
    },
  });
  for (const node of at("channels").children) {
    const id = node.dataset.channel;
    const count = id === state.channel ? 0 : unread(id);
    setAttr(node, "aria-current", id === state.channel && !state.atHome ? "true" : null);
    setText(node.lastElementChild, count ? String(count) : "");
    setAttr(node.lastElementChild, "aria-label", count ? `${count} unread` : null);
    node.classList.toggle("unread", count > 0);
  }
}

function role(user) {
  for (const [id, word] of KNOWN_ROLES) if (state.groups.get(id)?.users?.includes(user.id)) return word;
  if (user.is_restricted || user.is_ultra_restricted) return "guest";
  return user.is_stranger ? "other company" : "no agent";
}

function drawPeople() {
  const select = at("act-as");
  if (document.activeElement !== select || !select.options.length)
    keyed(
      select,
      [...state.people.values()].filter((user) => !user.is_bot && !user.deleted),
      {
        key: (user) => user.id,
        signature: (user) => `${shownName(user)} ${role(user)}`,
        make: (user) => h("option", { value: user.id }, `${shownName(user)} · ${role(user)}`),
      },
    );
  if (select.value !== state.me) select.value = state.me;
}

function drawChannel() {
  const channel = state.channels.find((one) => one.id === state.channel);
  const content = state.content.get(state.channel);
  if (state.atHome) {
    setText(at("channel-name"), personName(state.botUser));
    setText(at("channel-about"), "Home");
    shownPlace = "";
    return false;
  }
  setText(at("channel-name"), channel ? `${channel.is_im ? "" : "# "}${channelName(channel)}` : "Slack");
  setText(at("channel-about"), channel?.is_archived ? "archived" : (channel?.purpose?.value ?? ""));
  const list = at("messages");
  const items = visible(content, null);
  const place = `${state.me} ${state.channel}`;
  const draw = () => drawList(list, items, "channel");
  if (shownPlace === place || !content) keepingEnd(list, draw);
  else {
    draw();
    list.scrollTop = list.scrollHeight;
    shownPlace = place;
  }
  at("channel-empty").hidden = items.length > 0 || !content;
  const mine = channel?.members.includes(state.me) ?? false;
  const open = mine && !channel.is_archived;
  box.use(place, invitation(channel, mine), !open);
  if (content && document.hasFocus()) markSeen(place, newest(state.channel));
  return open;
}

function invitation(channel, mine) {
  if (!state.listedFor) return "Loading…"; // whose channels these are is not known yet
  if (!mine) return "Not a member of this channel";
  if (channel.is_archived) return "The channel is archived";
  return `Message ${channel.is_im ? "" : "#"}${channelName(channel)}, or /command`;
}

function drawThread(open) {
  const pane = at("thread");
  const there = Boolean(state.thread);
  if (pane.hidden === there) {
    pane.hidden = !there;
    at("slack").classList.toggle("with-thread", there);
  }
  if (!there) {
    shownThread = "";
    return;
  }
  const list = at("thread-messages");
  const items = visible(state.content.get(state.channel), state.thread);
  const place = `${state.me} ${state.channel} ${state.thread}`;
  const draw = () => drawList(list, items, "thread");
  if (shownThread === place || !items.length) keepingEnd(list, draw);
  else {
    draw();
    list.scrollTop = list.scrollHeight;
    shownThread = place;
  }
  const refusal = state.listedFor ? "You cannot write here" : "Loading…";
  threadBox.use(place, open ? "Reply to the thread" : refusal, !open);
}

function draw() {
  drawPeople();
  drawChannels();
  drawThread(drawChannel());
}

async function send({ text, files }, thread) {
  const where = { user: state.me, channel: state.channel }; // as it was sent, wherever one looks while a file is read
  const slash = /^\/([^\s/]\S*)\s*([\s\S]*)$/.exec(text.trim());
  if (slash && !files.length) {
    if (thread) {
      toast("Slash commands do not work in threads: type it in the channel.", "bad");
      return false;
    }
    const command = { ...where, command: `/${slash[1]}`, text: slash[2] };
    return Boolean(await post("slack/command", command));
  }
  const attached = await readFiles(files);
  if (!attached) return false;
  const wish = { ...where, text, composed: true };
  if (thread) wish.thread_ts = thread;
  if (attached.length) wish.files = attached;
  return Boolean(await post("slack/post", wish));
}

const box = composer({ testid: "slack-composer", label: "Message to the channel", send: (what) => send(what, null) });
const threadBox = composer({
  testid: "thread-composer",
  label: "Reply to the thread",
  send: (what) => send(what, state.thread),
});

function closeThread() {
  const from = state.thread;
  state.thread = null;
  changed("slack");
  setTimeout(() => document.querySelector(`#messages [data-ts="${CSS.escape(from ?? "")}"] .thread-bar`)?.focus(), 0);
}

export function start() {
  at("channel-pane").append(box.node);
  at("thread").append(threadBox.node);
  for (const list of ["messages", "thread-messages"]) walkable(at(list));
  at("thread-close").addEventListener("click", closeThread);
  at("thread").addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented) closeThread();
  });
  at("act-as").addEventListener("change", (event) => actAs(event.target.value));
  document.addEventListener("click", (event) => {
    // Links to messages and channels stay inside the page.
    const link = event.target.closest?.("a[href]");
    if (!link || event.metaKey || event.ctrlKey || link.target) return;
    const url = new URL(link.href);
    const there = url.origin === location.origin && url.pathname === "/" ? url.searchParams.get("channel") : null;
    if (!there) return;
    event.preventDefault();
    show(there, url.searchParams.get("thread_ts") ?? url.searchParams.get("ts"));
  });
  window.addEventListener("focus", () => changed("slack"));
  const asked = new URLSearchParams(location.search);
  if (asked.get("channel")) show(asked.get("channel"), asked.get("thread_ts") ?? asked.get("ts"));
  on("slack", draw);
}
