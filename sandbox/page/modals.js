// Modals: the top view of the stack of the person one acts as.

import { h, setText } from "./dom.js";
import { render } from "./blocks.js";
import { read } from "./elements.js";
import { pressedIn } from "./press.js";
import { on, post, state } from "./store.js";

let shown = null;

function entered() {
  const values = {};
  for (const { block, element, node } of shown?.inputs ?? [])
    (values[block.block_id] ??= {})[element.action_id] = read(node);
  return values;
}

function close(all = false) {
  if (shown) post("slack/close", { user: state.me, view_id: shown.id, all });
}

async function submit(event) {
  event.preventDefault();
  const view = shown;
  if (!view || view.button?.getAttribute("aria-busy")) return;
  view.button?.setAttribute("aria-busy", "true");
  const answer = await post("slack/submit", { user: state.me, view_id: view.id, values: entered() });
  view.button?.removeAttribute("aria-busy");
  for (const place of view.dialog.querySelectorAll("[data-error-for]")) {
    const words = answer?.errors?.[place.dataset.errorFor] ?? "";
    setText(place, words);
  }
  view.dialog.querySelector(".error:not(:empty)")?.parentElement.querySelector("input, textarea, select")?.focus();
}

function carried(view) {
  // What was typed but not sent stays when the app only redraws the view.
  const kept = structuredClone(view.state?.values ?? {});
  if (shown?.id !== view.id) return kept;
  for (const { block, element, node } of shown.inputs) {
    const value = read(node);
    if (value === null || typeof value === "object") continue;
    if (["plain_text_input", "email_text_input", "url_text_input", "number_input"].includes(element.type))
      (kept[block.block_id] ??= {})[element.action_id] = { type: element.type, value };
  }
  return kept;
}

function draw() {
  const view = state.views.at(-1);
  if (!view) {
    shown?.dialog.remove();
    shown = null;
    return;
  }
  if (shown?.id === view.id && shown.hash === view.hash) return;
  const inputs = [];
  const values = carried(view);
  const button = view.submit
    ? h("button", { class: "b primary", type: "submit", "data-testid": "modal-submit" }, view.submit.text)
    : null;
  const body = h(
    "div",
    { class: "box-body" },
    render(view.blocks, { place: { view_id: view.id }, act: pressedIn({ view_id: view.id }), values, inputs }),
  );
  const content = h(
    "form",
    { onsubmit: submit, novalidate: true },
    h(
      "header",
      {},
      h("h2", { id: "modal-title" }, view.title?.text ?? ""),
      h("button", { class: "icon", type: "button", "aria-label": "Close", onclick: () => close(true) }, "✕"),
    ),
    body,
    h(
      "footer",
      {},
      h(
        "button",
        { class: "b", type: "button", "data-testid": "modal-close", onclick: () => close() },
        view.close?.text ?? (view.submit ? "Cancel" : "Close"),
      ),
      button,
    ),
  );
  const focused = shown?.id === view.id ? document.activeElement?.dataset?.focus : null;
  let dialog = shown?.dialog;
  if (!dialog) {
    dialog = h("dialog", { class: "box", "aria-labelledby": "modal-title", "data-testid": "modal" });
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      close();
    });
    document.body.append(dialog);
  }
  dialog.replaceChildren(content);
  if (!dialog.open) dialog.showModal();
  shown = { id: view.id, hash: view.hash, dialog, inputs, button };
  const first = focused
    ? `[data-focus="${CSS.escape(focused)}"]`
    : ".box-body input, .box-body textarea, .box-body select";
  dialog.querySelector(first)?.focus();
}

export function start() {
  on("views", draw);
}
