// The messages on a phone: bubbles with their files, inline keyboards and reactions.

import { clockTime, fullTime } from "./dates.js";
import { bytes, confirmed, h, menu, toast } from "./dom.js";
import { telegramText } from "./mrkdwn.js";
import { changed, post, state } from "./store.js";

/** Pictures that are shown in place, and sent as photos. */
export const SAFE = /^image\/(png|jpeg|gif|webp)$/;
const REACTIONS = ["👍", "❤", "🔥", "🎉", "😢", "👎"];

/** One message of the chat `id`, as the customer sees it. */
export function bubble(id, message) {
  const mine = message.from === "customer";
  const node = h("div", {
    class: `bubble ${mine ? "mine" : "theirs"} ${message.deleted ? "deleted" : ""}`,
    "data-testid": `bubble-${message.message_id}`,
    "data-from": message.from,
  });
  if (state.editing === `${id} ${message.message_id}`) return editBubble(node, id, message);
  if (message.deleted) node.append(h("em", {}, "deleted"));
  if (message.reply_to && !message.deleted) node.append(h("blockquote", {}, answered(id, message.reply_to)));
  if (message.file && !message.deleted) node.append(file(message.file));
  const text = message.text ?? message.caption;
  if (text) node.append(telegramText(text, message.entities));
  if (message.location)
    node.append(h("span", {}, `📍 ${message.location.latitude.toFixed(3)}, ${message.location.longitude.toFixed(3)}`));
  if (message.contact) node.append(h("span", {}, `👤 ${message.contact.first_name} ${message.contact.phone_number}`));
  if (!text && !message.file && !message.location && !message.contact && !message.deleted)
    node.append(h("em", {}, "another kind of message"));
  const edited = message.versions.length
    ? h("span", { title: message.versions.map((old) => old.text ?? old.caption).join("\n") }, "edited ")
    : null;
  const sent = message.date * 1000;
  const emoji = [...message.reactions.customer, ...message.reactions.bot].join("");
  node.append(
    h(
      "footer",
      {},
      emoji ? h("span", { class: "emoji" }, emoji) : null,
      edited,
      h("time", { title: fullTime(sent) }, clockTime(sent)),
      message.deleted ? null : bubbleMenu(id, message, mine),
    ),
  );
  if (message.keyboard.length && !message.deleted) node.append(keyboard(id, message));
  return node;
}

/** The beginning of the message that another one answers. */
function answered(id, number) {
  const message = state.chats.get(id)?.messages.find((one) => one.message_id === number);
  const words = message?.text ?? message?.caption ?? "an earlier message";
  return words.length > 80 ? `${words.slice(0, 80)}…` : words;
}

function editBubble(node, id, message) {
  const caption = message.text === null;
  const input = h("textarea", { rows: 3, "aria-label": "Edit the message", "data-testid": "phone-edit-input" });
  input.value = message.text ?? message.caption ?? "";
  const done = () => {
    state.editing = null;
    input.blur();
    changed("phones");
  };
  const save = async () => {
    if (
      await post("telegram/edit", {
        chat_id: id,
        message_id: message.message_id,
        [caption ? "caption" : "text"]: input.value,
      })
    )
      done();
  };
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") done();
    else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) save();
    else return;
    event.preventDefault();
  });
  setTimeout(() => input.focus(), 0);
  node.append(
    input,
    h(
      "footer",
      {},
      h("button", { class: "b", onclick: done }, "Cancel"),
      h("button", { class: "b primary", onclick: save }, "Save"),
    ),
  );
  return node;
}

function bubbleMenu(id, message, mine) {
  const where = { chat_id: id, message_id: message.message_id };
  const button = h(
    "button",
    {
      class: "icon tiny",
      "aria-label": "Message menu",
      "aria-haspopup": "menu",
      "data-testid": `bubble-menu-${message.message_id}`,
      "data-focus": "menu",
    },
    "⋯",
  );
  const given = message.reactions.customer;
  button.addEventListener("click", () => {
    const react = REACTIONS.map((emoji) => ({
      label: emoji,
      testid: `bubble-react-${emoji}`,
      act: () => post("telegram/react", { ...where, reaction: given.includes(emoji) ? [] : [emoji] }),
    }));
    const remove = async () => {
      if (
        await confirmed({
          title: "Delete this message?",
          text: "Telegram does not tell the bot.",
          confirm: "Delete",
          danger: true,
        })
      )
        post("telegram/delete", where);
    };
    const own = [
      {
        label: "Edit",
        testid: "bubble-edit",
        act: () => ((state.editing = `${id} ${message.message_id}`), changed("phones")),
      },
      { label: "Delete", testid: "bubble-delete", danger: true, act: remove },
    ];
    menu(button, mine ? [...own, ...react] : react, { grid: !mine });
  });
  return button;
}

function keyboard(id, message) {
  const press = async (button) => {
    if (button.url) return;
    const answer = await post("telegram/press", {
      chat_id: id,
      message_id: message.message_id,
      data: button.callback_data,
    });
    if (answer && answer.update_id === null) toast("The bot has not asked for button presses.", "bad");
  };
  return h(
    "div",
    { class: "keyboard" },
    message.keyboard.map((row) =>
      h(
        "div",
        {},
        row.map((button) =>
          button.url && /^https?:/i.test(button.url)
            ? h("a", { class: "b", href: button.url, target: "_blank", rel: "noopener noreferrer" }, `${button.text} ↗`)
            : h(
                "button",
                { class: "b", onclick: () => press(button), "data-testid": `inline-${button.callback_data}` },
                button.text,
              ),
        ),
      ),
    ),
  );
}

function file(about) {
  if (about.kind !== "document" && SAFE.test(about.mime_type))
    return h("img", { src: about.url, alt: about.name, width: about.width, height: about.height });
  if (about.kind === "voice" || about.kind === "audio") return h("audio", { src: about.url, controls: true });
  return h(
    "a",
    { class: "file", href: about.url, download: about.name },
    h("span", { "aria-hidden": "true" }, "📄"),
    h("span", {}, about.name, h("small", {}, ` ${bytes(about.size_bytes)}`)),
  );
}
