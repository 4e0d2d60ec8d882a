// One message of the small Slack, and the list of them.

import { render } from "./blocks.js";
import { dayName, dayNumber, slackTime, slackTitle } from "./dates.js";
import { bytes, confirmed, h, initials, keyed, menu } from "./dom.js";
import { REACTIONS, emoji } from "./emoji.js";
import { mrkdwn, personName, shownName } from "./mrkdwn.js";
import { pressedIn } from "./press.js";
import { changed, nowMs, post, show, state } from "./store.js";

const GROUPED_S = 300;

const ms = (ts) => Number(ts) * 1000;
const byMe = (fields) => ({ user: state.me, channel: state.channel, ...fields });
const mayWrite = () => state.channels.find((one) => one.id === state.channel)?.members.includes(state.me);

/** Draw messages (oldest first) into a list. `where` is "channel" or "thread". */
export function drawList(list, messages, where) {
  const rows = [];
  let before = null;
  for (const message of messages) {
    if (!before || dayNumber(ms(before.ts)) !== dayNumber(ms(message.ts))) {
      rows.push({ key: `day ${dayNumber(ms(message.ts))}`, day: dayName(ms(message.ts), nowMs()) });
      before = null;
    }
    const close = before && before.user === message.user && Number(message.ts) - Number(before.ts) < GROUPED_S;
    const plain = !message.blocks?.some((block) => block.type === "actions") && !message.ephemeral;
    const follows = Boolean(close && plain && !before.ephemeral && !before.reply_count);
    rows.push({ key: message.ts, message, follows });
    before = message;
  }
  const names = [...state.people.values()].map(shownName).join() + state.channels.length;
  keyed(list, rows, {
    key: (row) => row.key,
    signature: (row) =>
      JSON.stringify([row, isEdited(row.message), state.me, where, names, mayWrite(), shownThread(row.message)]),
    make: (row) =>
      row.day ? h("div", { class: "day", role: "separator" }, h("span", {}, row.day)) : messageNode(row, where),
  });
}

/** Arrow keys go from message to message in a list, so that nobody has to pass all their buttons; Enter opens a thread. */
export function walkable(list) {
  list.addEventListener("keydown", (event) => {
    const from = event.target;
    if (from !== list && !from.matches(".message")) return; // what is inside a message has keys of its own
    const all = [...list.querySelectorAll(".message")];
    const here = all.indexOf(from);
    const up = here < 0 ? all.length - 1 : here - 1;
    const to = all[{ ArrowDown: here + 1, ArrowUp: up, Home: 0, End: all.length - 1 }[event.key]];
    const thread = event.key === "Enter" ? from.querySelector(":scope .thread-bar") : null;
    if (!to && !thread) return;
    event.preventDefault();
    if (thread) thread.click();
    else to.focus();
  });
}

const isEdited = (message) => Boolean(message && state.editing === message.ts);
const shownThread = (message) => Boolean(message && state.thread === message.ts);

function messageNode({ message, follows }, where) {
  const name = personName(message.user);
  const bot = Boolean(message.bot_id);
  const node = h("article", {
    class: [
      "message",
      follows ? "follows" : "",
      message.ephemeral ? "ephemeral" : "",
      shownThread(message) && where === "channel" ? "open" : "",
    ].join(" "),
    "data-testid": "message",
    "data-ts": message.ts,
    "data-ephemeral": message.ephemeral ? "" : undefined,
    "data-focus": `message ${message.ts}`,
    tabindex: "-1",
    "aria-label": `${name}, ${slackTime(ms(message.ts))}`,
  });
  const kept = { "data-epoch": ms(message.ts) / 1000, "data-pattern": "{time}" }; // told anew for whoever one acts as
  const time = h("time", { class: "at", title: slackTitle(ms(message.ts), nowMs()), ...kept }, slackTime(ms(message.ts)));
  const head = follows
    ? null
    : h("header", {}, h("strong", {}, name), bot ? h("span", { class: "app" }, "App") : null, time);
  const side = follows
    ? h("span", { class: "side" }, time)
    : h("span", { class: `avatar ${bot ? "bot" : ""}`, "aria-hidden": "true" }, initials(name));
  const body = h(
    "div",
    { class: "message-body" },
    message.ephemeral ? h("div", { class: "only-you" }, "Only visible to you") : null,
    head,
    content(message),
  );
  if (message.ephemeral) body.append(dismissal(message));
  else
    body.append(
      ...[files(message), reactions(message), where === "channel" ? threadBar(message) : null].filter(Boolean),
    );
  node.append(side, body);
  if (!message.ephemeral && !isEdited(message) && mayWrite()) node.append(tools(message, where));
  return node;
}

function content(message) {
  if (isEdited(message)) return editor(message);
  const edited = message.edited && !message.bot_id ? h("small", { class: "quiet" }, " (edited)") : null;
  if (message.blocks?.length) {
    const place = { channel: state.channel, ts: message.ts };
    const shown = render(message.blocks, { place, act: pressedIn(place) });
    return edited ? h("div", {}, shown, edited) : shown;
  }
  if (message.subtype === "tombstone") return h("div", { class: "quiet" }, "This message was deleted.");
  return message.text ? h("div", { class: "text" }, mrkdwn(message.text), edited) : h("div");
}

function editor(message) {
  const input = h("textarea", { rows: 2, "aria-label": "Edit the message", "data-testid": "edit-input" });
  input.value = message.text
    .replace(/<(?:mailto:)?([^<>|@#!]+)(?:\|[^<>]*)?>/g, "$1")
    .replace(/&lt;/g, "<")
    .replace(/&gt;/g, ">")
    .replace(/&amp;/g, "&");
  const done = () => {
    state.editing = null;
    input.blur();
    changed("slack");
  };
  const save = async () => {
    if (!input.value.trim()) return;
    if (await post("slack/edit", byMe({ ts: message.ts, text: input.value, composed: true }))) done();
  };
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") done();
    else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) save();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  setTimeout(() => input.focus(), 0);
  return h(
    "div",
    { class: "editor" },
    input,
    h(
      "div",
      { class: "row" },
      h("button", { class: "b", onclick: done }, "Cancel"),
      h("button", { class: "b primary", onclick: save, "data-testid": "edit-save" }, "Save"),
    ),
  );
}

function dismissal(message) {
  const dismiss = () => post("slack/dismiss", byMe({ ts: message.ts }));
  return h("button", { class: "linkish", onclick: dismiss, "data-testid": "dismiss" }, "Dismiss");
}

function files(message) {
  if (!message.files?.length) return null;
  return h("div", { class: "files" }, message.files.map(fileNode));
}

function fileNode(file) {
  const address = `/control/slack/file/${encodeURIComponent(file.id)}`;
  if (file.mode === "tombstone" || file.deleted) return h("div", { class: "file quiet" }, "This file was deleted.");
  const about = h("span", {}, file.name ?? file.title ?? "file", h("small", {}, ` ${bytes(file.size ?? 0)}`));
  if (/^image\/(png|jpeg|gif|webp)$/.test(file.mimetype))
    return h(
      "a",
      { class: "file picture", href: address, download: file.name },
      h("img", { src: address, alt: file.name, loading: "lazy" }),
      about,
    );
  return h(
    "a",
    { class: "file", href: address, download: file.name },
    h("span", { "aria-hidden": "true" }, "📄"),
    about,
  );
}

function reactions(message) {
  if (!message.reactions?.length) return null;
  return h(
    "div",
    { class: "reactions" },
    message.reactions.map((reaction) => {
      const mine = reaction.users.includes(state.me);
      const act = () => post(`slack/${mine ? "unreact" : "react"}`, byMe({ ts: message.ts, emoji: reaction.name }));
      const who = reaction.users.map(personName).join(", ");
      return h(
        "button",
        {
          class: "reaction",
          "aria-pressed": String(mine),
          onclick: act,
          title: `${who}: ${reaction.name}`,
          "aria-label": `${reaction.name}, ${reaction.count}`,
          "data-testid": `reaction-${reaction.name}`,
          "data-focus": `reaction ${reaction.name}`,
        },
        emoji(reaction.name),
        h("span", {}, reaction.count),
      );
    }),
  );
}

function threadBar(message) {
  if (!message.reply_count) return null;
  const last = message.latest_reply ? ` · last at ${slackTime(ms(message.latest_reply))}` : "";
  const count = message.reply_count === 1 ? "1 reply" : `${message.reply_count} replies`;
  return h(
    "button",
    {
      class: "thread-bar",
      onclick: () => show(state.channel, message.ts),
      "data-testid": "open-thread",
      "data-focus": "thread",
    },
    h("strong", {}, count),
    last,
  );
}

function tools(message, where) {
  const own = message.user === state.me;
  const admin = state.people.get(state.me)?.is_admin;
  const button = (label, sign, testid, act, more = {}) =>
    h(
      "button",
      {
        class: "icon",
        "aria-label": label,
        title: label,
        "data-testid": testid,
        "data-focus": testid,
        onclick: act,
        ...more,
      },
      sign,
    );
  const react = button(
    "Add a reaction",
    "☺",
    "react",
    (event) =>
      menu(
        event.currentTarget,
        REACTIONS.map((name) => ({
          label: emoji(name),
          name,
          testid: `emoji-${name}`,
          act: () => post("slack/react", byMe({ ts: message.ts, emoji: name })),
        })),
        { grid: true },
      ),
    { "aria-haspopup": "menu" },
  );
  const shortcuts = Object.entries(state.shortcuts);
  const more = button(
    "More actions",
    "⋮",
    "shortcuts",
    (event) =>
      menu(
        event.currentTarget,
        shortcuts.map(([id, label]) => ({
          label,
          name: label,
          testid: `shortcut-${id}`,
          act: () => post("slack/shortcut", byMe({ callback_id: id, ts: message.ts })),
        })),
      ),
    { "aria-haspopup": "menu" },
  );
  const remove = async () => {
    if (
      await confirmed({
        title: "Delete this message?",
        text: "It is gone for everybody.",
        confirm: "Delete",
        danger: true,
      })
    )
      post("slack/delete", byMe({ ts: message.ts }));
  };
  return h(
    "div",
    { class: "tools", role: "group", "aria-label": "Message" },
    react,
    where === "channel"
      ? button("Reply in thread", "↪", "reply", () => show(state.channel, message.thread_ts ?? message.ts))
      : null,
    own && !message.files?.length
      ? button("Edit", "✎", "edit", () => ((state.editing = message.ts), changed("slack")))
      : null,
    own || admin ? button("Delete", "🗑︎", "delete", remove) : null,
    shortcuts.length ? more : null,
  );
}
