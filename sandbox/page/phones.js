// The phones: a rail of customers, and the open ones side by side.

import { SAFE, bubble } from "./bubbles.js";
import { composer } from "./composer.js";
import { h, initials, keepingEnd, keyed, menu, readFiles, setAttr, setText } from "./dom.js";
import { changed, markSeen, on, post, seen, state } from "./store.js";

const at = (id) => document.getElementById(id);
const PHONE_PX = 258;
const LANGUAGES = {
  en: "English",
  "zh-hans": "中文",
  zh: "中文",
  "zh-cn": "中文",
  de: "Deutsch",
  es: "Español",
  fr: "Français",
};
const phones = new Map();

const HAN = /\p{Script=Han}/u;

/** 李静, Maria Keller */
function fullName({ first_name: first, last_name: last }) {
  if (!last) return first;
  return HAN.test(last) ? `${last}${first}` : `${first} ${last}`;
}

const customerOf = (id) => state.customers.find((one) => one.chat_id === id);

function fitting() {
  return Math.max(1, Math.floor((at("phones").clientWidth - at("rail").clientWidth) / PHONE_PX));
}

/** Open a phone; the oldest one closes when there is no room. */
export function openPhone(id) {
  const most = fitting();
  if (!state.open.includes(id)) state.open = [...state.open, id].slice(-most);
  changed("phones");
}

function unread(id) {
  const last = Number(seen(`phone ${id}`) || 0);
  return (state.chats.get(id)?.messages ?? []).filter(
    (one) => one.from === "bot" && !one.deleted && one.message_id > last,
  ).length;
}

function drawRail() {
  keyed(at("rail"), state.customers, {
    key: (customer) => customer.chat_id,
    signature: (customer) => JSON.stringify([fullName(customer)]),
    make: (customer) =>
      h(
        "button",
        {
          class: "rail-item",
          "data-testid": `customer-${customer.chat_id}`,
          "data-chat": customer.chat_id,
          title: fullName(customer),
          onclick: () => openPhone(customer.chat_id),
        },
        h("span", { class: "avatar round", "aria-hidden": "true" }, initials(fullName(customer))),
        h("span", { class: "name" }, fullName(customer)),
        h("span", { class: "count" }),
      ),
  });
  for (const node of at("rail").children) {
    const id = Number(node.dataset.chat);
    const count = state.open.includes(id) ? 0 : unread(id);
    setAttr(node, "aria-pressed", state.open.includes(id) ? "true" : "false");
    setText(node.querySelector(".count"), count ? String(count) : "");
  }
  const hidden = state.customerCount - state.customers.length;
  setText(at("rail-note"), hidden > 0 ? `newest ${state.customers.length} of ${state.customerCount}` : "");
}

function phone(id) {
  if (phones.has(id)) return phones.get(id);
  const title = h("strong");
  const about = h("small");
  const list = h("div", {
    class: "bubbles",
    role: "log",
    "aria-label": "Messages on the phone",
    tabindex: "0",
    "data-testid": `phone-messages-${id}`,
  });
  const empty = h("p", { class: "empty" }, "Write something below: it reaches the bot as a Telegram message.");
  const typing = h("div", { class: "typing", "aria-live": "polite" });
  const box = composer({
    testid: `phone-composer-${id}`,
    label: "Message as this customer",
    send: (what) => send(id, what),
  });
  useBox(box, id);
  const more = h(
    "button",
    {
      class: "icon",
      "aria-label": "Phone menu",
      title: "Phone menu",
      "aria-haspopup": "menu",
      "data-testid": `phone-menu-${id}`,
    },
    "⋯",
  );
  more.addEventListener("click", () => {
    const blocked = state.chats.get(id)?.blocked;
    menu(more, [
      {
        label: blocked ? "Unblock the bot" : "Block the bot",
        testid: "phone-block",
        danger: !blocked,
        act: () => post(`telegram/${blocked ? "unblock" : "block"}`, { chat_id: id }),
      },
      {
        label: "Send /start",
        testid: "phone-start",
        act: () => post("telegram/send", { chat_id: id, text: "/start" }),
      },
      {
        label: "Send a location",
        testid: "phone-location",
        act: () => post("telegram/send", { chat_id: id, location: { latitude: 31.2304, longitude: 121.4737 } }),
      },
    ]);
  });
  const close = h(
    "button",
    {
      class: "icon",
      "aria-label": "Put this phone away",
      title: "Put this phone away",
      onclick: () => ((state.open = state.open.filter((one) => one !== id)), changed("phones")),
    },
    "✕",
  );
  const node = h(
    "section",
    { class: "phone", "data-testid": `phone-${id}` },
    h("header", {}, h("div", { class: "who" }, title, about), more, close),
    list,
    empty,
    typing,
    box.node,
  );
  const made = { node, title, about, list, empty, typing, box, length: -1 };
  phones.set(id, made);
  return made;
}

async function send(id, { text, files }) {
  if (!files.length) return Boolean(await post("telegram/send", { chat_id: id, text }));
  const read = await readFiles(files);
  if (!read) return false;
  const gone = { text: false, files: [] }; // each file is a message: one that is refused leaves those before it sent
  for (const [index, { name, mime, base64 }] of read.entries()) {
    const kind = SAFE.test(mime) ? "photo" : "document";
    const part = { data: base64, filename: name, mime: mime || "application/octet-stream" };
    const caption = index === 0 && text.trim() ? { caption: text } : {};
    if (!(await post("telegram/send", { chat_id: id, [kind]: part, ...caption }))) return gone;
    gone.text = true;
    gone.files.push(files[index]);
  }
  return true;
}

/** The box is this phone's from its first moment, so that what is typed before the chat has loaded stays. */
function useBox(box, id, gone = false) {
  box.use(`phone ${id}`, gone ? "This account is gone" : "Message", gone);
}

function drawPhone(id) {
  const shown = phone(id);
  const customer = customerOf(id);
  const chat = state.chats.get(id);
  if (!customer || !chat) return;
  setText(shown.title, fullName(customer));
  const language = LANGUAGES[(customer.language_code ?? "").toLowerCase()] ?? customer.language_code ?? "";
  setText(
    shown.about,
    chat.blocked
      ? "has blocked the bot"
      : [language, customer.username ? `@${customer.username}` : ""].filter(Boolean).join(" · "),
  );
  setAttr(shown.node, "aria-label", `Phone of ${fullName(customer)}`);
  shown.node.classList.toggle("blocked", chat.blocked);
  keepingEnd(shown.list, () =>
    keyed(shown.list, chat.messages, {
      key: (message) => message.message_id,
      signature: (message) => JSON.stringify([message, state.editing === `${id} ${message.message_id}`]),
      make: (message) => bubble(id, message),
    }),
  );
  if (shown.length < 0) shown.list.scrollTop = shown.list.scrollHeight;
  shown.length = chat.messages.length;
  shown.empty.hidden = chat.messages.length > 0;
  const typing = (state.typing.get(id) ?? 0) > Date.now();
  setText(shown.typing, typing ? "Relaydesk is typing…" : "");
  useBox(shown.box, id, Boolean(chat.deactivated));
  const last = chat.messages.findLast((one) => one.from === "bot");
  if (last) markSeen(`phone ${id}`, String(last.message_id));
}

function draw() {
  const most = fitting();
  if (!state.open.length && state.customers.length && !draw.chosen) {
    draw.chosen = true;
    state.open = state.customers.slice(0, most).map((one) => one.chat_id);
  }
  drawRail();
  keyed(at("open-phones"), state.open, { key: (id) => id, signature: () => "", make: (id) => phone(id).node });
  for (const id of state.open) drawPhone(id);
  at("phones-empty").hidden = state.open.length > 0 || !state.customersListed;
  setText(
    at("phones-empty-text"),
    state.customers.length
      ? "Choose a customer to see the phone."
      : "No customers yet. Add one and write the first message as them.",
  );
}

function addCustomer() {
  const dialog = at("add-dialog");
  const form = dialog.querySelector("form");
  form.reset();
  dialog.showModal();
}

export function start() {
  at("add-customer").addEventListener("click", addCustomer);
  at("phones-empty-add").addEventListener("click", addCustomer);
  at("add-cancel").addEventListener("click", () => at("add-dialog").close());
  at("add-dialog")
    .querySelector("form")
    .addEventListener("submit", async (event) => {
      event.preventDefault();
      const data = Object.fromEntries([...new FormData(event.target)].filter(([, value]) => value.trim()));
      const answer = await post("telegram/customers", data);
      if (!answer) return;
      at("add-dialog").close();
      draw.chosen = true;
      openPhone(answer.chat_id);
      setTimeout(() => document.activeElement === document.body && phones.get(answer.chat_id)?.box.focus(), 60);
    });
  on("phones", draw);
}
