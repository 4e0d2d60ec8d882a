// Block Kit as nodes: section, context, actions, input, rich_text, header, divider, image, file names for the rest.

import { h } from "./dom.js";
import { element } from "./elements.js";
import { link, mrkdwn, richText, textObject } from "./mrkdwn.js";

/**
 * The blocks of a message or view. `place` is where presses go (`{channel, ts}` or `{view_id}`), `act(block, element,
 * fields)` tells the app, `values` are state.values.
 */
export function render(blocks, { place, act, values = {}, inputs = null }) {
  const ways = { act, values, inputs };
  return h(
    "div",
    { class: "blocks", "data-place": JSON.stringify(place) },
    blocks.map((block) => one(block, ways)),
  );
}

function one(block, ways) {
  const node = (BLOCKS[block.type] ?? unknown)(block, ways);
  node.classList.add("block", `block-${block.type}`);
  node.dataset.block = block.block_id ?? "";
  return node;
}

function interactive(block, part, { act, values }) {
  const value = values[block.block_id]?.[part.action_id];
  return element(block, part, { act: (which, fields) => act(block, which, fields), value });
}

function part(block, piece, ways) {
  if (piece.type === "image") return image(piece);
  if (piece.type === "mrkdwn" || piece.type === "plain_text") return textObject(piece);
  return interactive(block, piece, ways);
}

function image(piece, className = "thumb") {
  const address = piece.image_url ?? "";
  const alt = piece.alt_text ?? "";
  if (address.startsWith(`${location.origin}/`) || address.startsWith("data:image/"))
    return h("img", { class: className, src: address, alt });
  return h("span", { class: "picture" }, "🖼 ", address ? link(address, alt || address) : alt);
}

const BLOCKS = {
  section: (block, ways) =>
    h(
      "div",
      {},
      h(
        "div",
        { class: "section-text" },
        block.text ? textObject(block.text) : null,
        block.fields
          ? h(
              "div",
              { class: "fields" },
              block.fields.map((field) => h("div", {}, textObject(field))),
            )
          : null,
      ),
      block.accessory ? h("div", { class: "accessory" }, part(block, block.accessory, ways)) : null,
    ),
  context: (block, ways) =>
    h(
      "div",
      {},
      (block.elements ?? []).map((piece) => h("span", {}, part(block, piece, ways))),
    ),
  actions: (block, ways) =>
    h(
      "div",
      { role: "group", "aria-label": "Actions" },
      (block.elements ?? []).map((piece) => interactive(block, piece, ways)),
    ),
  header: (block) => h("div", {}, h("h3", {}, textObject(block.text))),
  divider: () => h("div", { role: "separator" }),
  rich_text: (block) => h("div", {}, richText(block)),
  image: (block) =>
    h("div", {}, block.title ? h("div", { class: "caption" }, textObject(block.title)) : null, image(block, "wide")),
  markdown: (block) => h("div", {}, mrkdwn(block.text)),
  input: (block, ways) => {
    const act = block.dispatch_action ? (which, fields) => ways.act(block, which, fields) : null;
    const value = ways.values[block.block_id]?.[block.element.action_id];
    const label = block.label?.text ?? "";
    const node = element(block, block.element, { act, value, label });
    ways.inputs?.push({ block, element: block.element, node });
    return h(
      "div",
      {},
      h("div", { class: "label", "aria-hidden": "true" }, label, block.optional ? h("small", {}, " (optional)") : null),
      node,
      block.hint ? h("small", { class: "hint" }, block.hint.text) : null,
      h("div", { class: "error", role: "alert", "data-error-for": block.block_id }),
    );
  },
};

function unknown(block) {
  return h("div", { class: "unknown" }, `[${block.type}]`);
}
