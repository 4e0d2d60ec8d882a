// Slack's mrkdwn and Telegram's entities, read into nodes. What people wrote is only ever a text node.

import { slackDate, slackTitle } from "./dates.js";
import { h } from "./dom.js";
import { emoji, withEmoji } from "./emoji.js";
import { nowMs, state } from "./store.js";

const SAFE = /^(https?:|mailto:|tel:)/i;
const WORD = "\\p{L}\\p{N}_"; // in every script, as Slack reads it: bold needs a blank beside Chinese, too
const INLINE = new RegExp(
  [
    "`(?<code>[^`\\n]+)`",
    "<(?<token>[^<>\\n]+)>",
    `(?<![${WORD}*])\\*(?![\\s*])(?<bold>[^*\\n]*[^*\\s])\\*(?![${WORD}*])`,
    `(?<![${WORD}_])_(?![\\s_])(?<italic>[^\\n]*?[^_\\s])_(?![${WORD}_])`,
    `(?<![${WORD}~])~(?![\\s~])(?<strike>[^~\\n]*[^~\\s])~(?![${WORD}~])`,
  ].join("|"),
  "u",
);
const STYLES = { bold: "strong", italic: "em", strike: "s" };

const unescaped = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

/** A link that opens elsewhere and tells nothing about this page; anything but http, https, mailto and tel is text. */
export function link(url, ...label) {
  const shown = label.length ? label : [url];
  if (!SAFE.test(url)) return h("span", {}, ...shown);
  const own = url.startsWith(`${location.origin}/`);
  const elsewhere = own ? {} : { target: "_blank", rel: "noopener noreferrer nofollow" };
  return h("a", { href: url, ...elsewhere }, ...shown);
}

/** What Slack shows of a person: the name they chose to be read, or their real one. */
export const shownName = (user) => user.profile?.display_name || user.real_name || user.name;

/** The name under which a person is known in the small Slack. */
export function personName(id) {
  if (id === "USLACKBOT") return "Slackbot"; // who stands beside what was deleted
  const user = state.people.get(id);
  return user ? shownName(user) : id;
}

/** `@Maya`, marked when it is me. */
export function userMention(id) {
  return h("span", { class: id === state.me ? "mention me" : "mention" }, `@${personName(id)}`);
}

/** `@agents`, marked when I belong to it. */
export function groupMention(id) {
  const group = state.groups.get(id);
  const mine = group?.users?.includes(state.me);
  return h("span", { class: mine ? "mention me" : "mention" }, `@${group ? group.handle : id}`);
}

/** `#support`, which opens the channel. */
export function channelMention(id) {
  const channel = state.channels.find((one) => one.id === id);
  return h(
    "a",
    { class: "mention", href: `/?channel=${encodeURIComponent(id)}` },
    channel ? `#${channel.name}` : "#private",
  );
}

/** A moment in the reader's own time. */
export function dateNode(epoch, pattern) {
  const ms = Number(epoch) * 1000;
  const node = h("time", { "data-epoch": epoch, "data-pattern": pattern, title: slackTitle(ms, nowMs()) });
  node.textContent = slackDate(pattern, ms, nowMs());
  return node;
}

function token(raw) {
  const bar = raw.indexOf("|");
  const target = bar < 0 ? raw : raw.slice(0, bar);
  const label = bar < 0 ? "" : unescaped(raw.slice(bar + 1));
  const [kind, ...rest] = target.split("^");
  if (target.startsWith("@")) return userMention(target.slice(1));
  if (target.startsWith("#")) return channelMention(target.slice(1));
  if (kind === "!subteam") return groupMention(rest[0]);
  if (kind === "!date" && rest.length >= 2 && /^\d+$/.test(rest[0])) return dateNode(rest[0], rest[1]);
  if (["!here", "!channel", "!everyone"].includes(kind)) return h("span", { class: "mention me" }, `@${kind.slice(1)}`);
  if (target.startsWith("!")) return document.createTextNode(label || `<${raw}>`);
  const url = unescaped(target);
  return SAFE.test(url)
    ? link(url, label || url.replace(/^mailto:/, ""))
    : document.createTextNode(`<${unescaped(raw)}>`);
}

function inline(text, into) {
  let rest = text;
  while (rest) {
    const found = INLINE.exec(rest);
    if (!found) break;
    if (found.index) into.append(withEmoji(unescaped(rest.slice(0, found.index))));
    const groups = found.groups;
    if (groups.code !== undefined) into.append(h("code", {}, unescaped(groups.code)));
    else if (groups.token !== undefined) into.append(token(groups.token));
    else {
      const style = Object.keys(STYLES).find((name) => groups[name] !== undefined);
      into.append(inline(groups[style], h(STYLES[style])));
    }
    rest = rest.slice(found.index + found[0].length);
  }
  if (rest) into.append(withEmoji(unescaped(rest)));
  return into;
}

/** mrkdwn as nodes: bold, italic, strike, code, preformatted, quotes, links, mentions, dates, emoji. */
export function mrkdwn(text) {
  const all = h("div", { class: "mrkdwn" });
  String(text ?? "")
    .split(/```([\s\S]+?)```/)
    .forEach((part, index) => {
      if (index % 2) all.append(h("pre", {}, unescaped(part.replace(/^\n|\n$/g, ""))));
      else lines(part, all);
    });
  return all;
}

function lines(part, all) {
  let quoted = null;
  let said = null;
  for (const line of part.split("\n")) {
    const quote = /^(?:&gt;|>) ?(.*)$/.exec(line);
    if (quote) {
      if (!quoted) all.append((quoted = h("blockquote")));
      else quoted.append("\n");
      inline(quote[1], quoted);
      said = null;
    } else {
      if (!said) {
        if (!line && quoted) continue;
        all.append((said = h("span", { class: "said" })));
      } else said.append("\n");
      inline(line, said);
      quoted = null;
    }
  }
}

/** A text object of Block Kit: `plain_text` has no markup at all. */
export function textObject(object) {
  if (!object) return h("span");
  if (object.type === "mrkdwn") return mrkdwn(object.text);
  return h("span", { class: "plain" }, object.emoji === false ? object.text : withEmoji(object.text));
}

/** A rich_text block. */
export function richText(block) {
  return h("div", { class: "rich" }, (block.elements ?? []).map(richElement));
}

function richElement(element) {
  const inside = () => (element.elements ?? []).map(richPart);
  if (element.type === "rich_text_list") {
    const items = (element.elements ?? []).map((item) => h("li", {}, richElement(item)));
    const list = h(
      element.style === "ordered" ? "ol" : "ul",
      { class: `indent-${Math.min(element.indent ?? 0, 4)}` },
      items,
    );
    if (element.offset) list.start = element.offset + 1;
    return list;
  }
  if (element.type === "rich_text_quote") return h("blockquote", {}, inside());
  if (element.type === "rich_text_preformatted") return h("pre", {}, inside());
  return h("div", { class: "said" }, inside());
}

function richPart(part) {
  const shown = {
    text: () => document.createTextNode(part.text),
    link: () => link(part.url, part.text || part.url),
    user: () => userMention(part.user_id),
    usergroup: () => groupMention(part.usergroup_id),
    channel: () => channelMention(part.channel_id),
    emoji: () => document.createTextNode(emoji(part.name)),
    broadcast: () => h("span", { class: "mention me" }, `@${part.range}`),
    date: () => dateNode(part.timestamp, part.format),
    color: () => document.createTextNode(part.value),
  }[part.type];
  let node = shown ? shown() : document.createTextNode(`[${part.type}]`);
  const styles = { bold: "strong", italic: "em", strike: "s", code: "code", underline: "u" };
  for (const [name, tag] of Object.entries(styles)) if (part.style?.[name]) node = h(tag, {}, node);
  return node;
}

const ENTITIES = {
  bold: "strong",
  italic: "em",
  underline: "u",
  strikethrough: "s",
  code: "code",
  pre: "pre",
  blockquote: "blockquote",
  expandable_blockquote: "blockquote",
  spoiler: "mark",
};

/** A Telegram text with its entities; their offsets count UTF-16 units, as JavaScript does. */
export function telegramText(text, entities) {
  const all = h("span", { class: "said" });
  const cuts = new Set([0, text.length]);
  for (const one of entities) cuts.add(one.offset).add(one.offset + one.length);
  const edges = [...cuts].filter((at) => at <= text.length).sort((a, b) => a - b);
  for (let index = 0; index + 1 < edges.length; index += 1) {
    const piece = text.slice(edges[index], edges[index + 1]);
    let node = document.createTextNode(piece);
    for (const one of entities) {
      if (one.offset > edges[index] || one.offset + one.length < edges[index + 1]) continue;
      if (ENTITIES[one.type]) node = h(ENTITIES[one.type], {}, node);
      else if (one.type === "text_link") node = link(one.url, node);
      else if (one.type === "url") node = link(SAFE.test(piece) ? piece : `https://${piece}`, node);
      else if (one.type === "email") node = link(`mailto:${piece}`, node);
      else node = h("span", { class: "entity" }, node);
    }
    all.append(node);
  }
  return all;
}
