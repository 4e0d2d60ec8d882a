// The things in Block Kit that people press, choose and fill in.

import { confirmed, h, menu } from "./dom.js";
import { mrkdwn, shownName, textObject } from "./mrkdwn.js";
import { post, state } from "./store.js";

const plain = (object) => object?.text ?? "";

async function allowed(object) {
  if (!object) return true;
  return confirmed({
    title: plain(object.title),
    text: object.text.type === "mrkdwn" ? mrkdwn(object.text.text) : plain(object.text),
    confirm: plain(object.confirm),
    deny: plain(object.deny),
    danger: object.style === "danger",
  });
}

/**
 * One interactive element. `act(element, fields)` tells the app; in an input block of a modal it is null, and the
 * value is read on submit. `value` is what was entered so far, as in state.values.
 */
export function element(block, one, { act, value, label }) {
  const make = MAKERS[one.type] ?? unknown;
  const named = label ?? plain(one.placeholder) ?? one.type;
  const node = make(block, one, { act, value: value ?? {}, named });
  const field = node.matches("input, select, textarea, button")
    ? node
    : (node.querySelector("input, select, textarea") ?? node);
  field.dataset.focus = `${block.block_id} ${one.action_id}`;
  if (!field.dataset.testid) field.dataset.testid = `action-${one.action_id}`;
  return node;
}

function unknown(_block, one) {
  return h("span", { class: "unknown" }, `[${one.type}]`);
}

function button(_block, one, { act }) {
  const style = one.style ? ` ${one.style}` : "";
  const press = async () => {
    if (!(await allowed(one.confirm))) return;
    if (one.url && /^https?:/i.test(one.url)) window.open(one.url, "_blank", "noopener");
    node.setAttribute("aria-busy", "true");
    await act(one, {});
    node.removeAttribute("aria-busy");
  };
  const node = h("button", {
    class: `b${style}`,
    type: "button",
    onclick: press,
    "aria-label": one.accessibility_label,
  });
  node.append(textObject(one.text));
  return node;
}

function optionNodes(options, chosen) {
  return options.map((option) =>
    h("option", { value: option.value, selected: chosen.includes(option.value) }, plain(option.text)),
  );
}

function select(_block, one, { act, value, named }) {
  const multiple = one.type.startsWith("multi_");
  const initial = multiple
    ? (value.selected_options ?? one.initial_options ?? [])
    : [value.selected_option ?? one.initial_option];
  const chosen = initial.filter(Boolean).map((option) => option.value);
  const groups = one.option_groups?.map((group) =>
    h("optgroup", { label: plain(group.label) }, optionNodes(group.options, chosen)),
  );
  return picker(one, { act, named, multiple, chosen, content: groups ?? optionNodes(one.options ?? [], chosen) });
}

function picker(one, { act, named, multiple, chosen, content }) {
  const placeholder = plain(one.placeholder) || "Choose";
  const empty = multiple
    ? []
    : [h("option", { value: "", disabled: Boolean(act), selected: !chosen.length }, placeholder)];
  const node = h("select", { multiple, "aria-label": named || placeholder, class: "select" }, empty, content);
  const initial = chosen[0] ?? "";
  if (act && !multiple) {
    // An arrow key would choose at once where the list is closed: it opens the list instead.
    node.addEventListener("keydown", (event) => {
      delete node.dataset.idle;
      if (!["ArrowDown", "ArrowUp"].includes(event.key) || !node.showPicker) return;
      event.preventDefault();
      node.showPicker();
    });
    node.addEventListener("pointerdown", () => delete node.dataset.idle);
    node.addEventListener("change", async () => {
      const picked = node.value;
      if (!picked) return;
      node.dataset.idle = "";
      if (await allowed(one.confirm)) {
        node.setAttribute("aria-busy", "true");
        await act(one, { value: picked });
        node.removeAttribute("aria-busy");
      }
      node.value = initial;
    });
  }
  if (act && multiple) node.addEventListener("change", () => act(one, { value: read(node) }));
  return node;
}

function known(kind) {
  return (_block, one, { act, value, named }) => {
    const multiple = one.type.startsWith("multi_");
    const field = `selected_${kind}${multiple ? "s" : ""}`;
    const chosen = [value[field] ?? one[`initial_${kind}${multiple ? "s" : ""}`] ?? []].flat().filter(Boolean);
    const all =
      kind === "user"
        ? [...state.people.values()].filter((user) => !user.is_bot).map((user) => [user.id, shownName(user)])
        : state.channels.map((channel) => [channel.id, channel.name ? `#${channel.name}` : "direct message"]);
    const content = all.map(([id, name]) => h("option", { value: id, selected: chosen.includes(id) }, name));
    return picker(one, { act, named, multiple, chosen, content });
  };
}

function external(block, one, { act, value, named }) {
  const list = h("datalist", { id: `offers-${block.block_id}-${one.action_id}` });
  const input = h("input", { list: list.id, placeholder: plain(one.placeholder), "aria-label": named });
  input.value = plain(value.selected_option?.text ?? one.initial_option?.text);
  let offers = value.selected_option ? [value.selected_option] : [];
  const node = h("span", { class: "external" }, input, list);
  const ask = async () => {
    const place = node.closest("[data-place]").dataset.place;
    const asked = {
      ...JSON.parse(place),
      user: state.me,
      action_id: one.action_id,
      block_id: block.block_id,
      value: input.value,
    };
    const answer = await post("slack/suggest", asked, { quiet: true });
    if (input.value !== asked.value) return; // an answer to what stood there before
    offers = answer?.options ?? [];
    list.replaceChildren(...offers.map((option) => h("option", { value: plain(option.text) })));
  };
  input.addEventListener("input", () => input.value.length >= (one.min_query_length ?? 3) && ask());
  const picked = () => offers.find((option) => plain(option.text) === input.value) ?? null;
  node.readValue = picked;
  if (act) input.addEventListener("change", () => picked() && act(one, { selected_option: picked() }));
  return node;
}

function overflow(_block, one, { act }) {
  const node = h(
    "button",
    {
      class: "b more",
      type: "button",
      "aria-haspopup": "menu",
      "aria-expanded": "false",
      "aria-label": "More actions",
    },
    "⋯",
  );
  node.addEventListener("click", () =>
    menu(
      node,
      (one.options ?? []).map((option, index) => ({
        label: plain(option.text),
        testid: `option-${index}`,
        act: async () => (await allowed(one.confirm)) && act(one, { value: option.value }),
      })),
    ),
  );
  return node;
}

function choices(block, one, { act, value, named }) {
  const many = one.type === "checkboxes";
  const given = many
    ? (value.selected_options ?? one.initial_options ?? [])
    : [value.selected_option ?? one.initial_option];
  const chosen = given.filter(Boolean).map((option) => option.value);
  const name = `${block.block_id}-${one.action_id}-${Math.random()}`;
  const node = h("div", { class: "choices", role: many ? "group" : "radiogroup", "aria-label": named });
  for (const option of one.options ?? []) {
    const input = h("input", {
      type: many ? "checkbox" : "radio",
      name,
      value: option.value,
      checked: chosen.includes(option.value),
    });
    node.append(
      h(
        "label",
        {},
        input,
        textObject(option.text),
        option.description ? h("small", {}, plain(option.description)) : null,
      ),
    );
  }
  node.readValue = () => {
    const values = [...node.querySelectorAll("input:checked")].map((input) => input.value);
    return many ? values : (values[0] ?? null);
  };
  if (act) node.addEventListener("change", () => act(one, { value: node.readValue() }));
  return node;
}

function text(type) {
  return (_block, one, { act, value, named }) => {
    const properties = { placeholder: plain(one.placeholder), maxlength: one.max_length, "aria-label": named };
    const node =
      one.multiline || type === "textarea"
        ? h("textarea", { rows: 4, ...properties })
        : h("input", { type, ...properties });
    node.value = value.value ?? one.initial_value ?? "";
    const when = one.dispatch_action_config?.trigger_actions_on ?? ["on_enter_pressed"];
    if (act && when.includes("on_character_entered"))
      node.addEventListener("input", () => act(one, { value: node.value }));
    else if (act)
      node.addEventListener(
        "keydown",
        (event) => event.key === "Enter" && !event.isComposing && act(one, { value: node.value }),
      );
    return node;
  };
}

function moment(type, field) {
  return (_block, one, { act, value, named }) => {
    const node = h("input", { type, "aria-label": named });
    const given = value[`selected_${field}`] ?? one[`initial_${field}`];
    if (given) node.value = type === "datetime-local" ? local(given) : given;
    if (act) node.addEventListener("change", () => act(one, { value: read(node) }));
    return node;
  };
}

function local(epoch) {
  const date = new Date(epoch * 1000);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

const MAKERS = {
  button,
  workflow_button: button,
  overflow,
  static_select: select,
  multi_static_select: select,
  external_select: external,
  users_select: known("user"),
  multi_users_select: known("user"),
  conversations_select: known("conversation"),
  multi_conversations_select: known("conversation"),
  channels_select: known("channel"),
  multi_channels_select: known("channel"),
  checkboxes: choices,
  radio_buttons: choices,
  plain_text_input: text("text"),
  rich_text_input: text("textarea"),
  email_text_input: text("email"),
  url_text_input: text("url"),
  number_input: text("text"),
  datepicker: moment("date", "date"),
  timepicker: moment("time", "time"),
  datetimepicker: moment("datetime-local", "date_time"),
};

/** What stands in an element now, as `submit` wants it. */
export function read(node) {
  if (node.readValue) return node.readValue();
  if (node.multiple) return [...node.selectedOptions].map((option) => option.value);
  if (node.type === "datetime-local") return node.value ? Math.floor(new Date(node.value).getTime() / 1000) : null;
  return node.value || null;
}
