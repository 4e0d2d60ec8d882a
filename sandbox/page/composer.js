// The box in which people write: Enter sends, Shift+Enter makes a new line, an input method is never interrupted.

import { h } from "./dom.js";

const TALLEST = 160;

/**
 * `send({text, files})` resolves to true when the box may be emptied, to what of it went, `{text: true, files}`, when
 * not all did, so that sending again sends the rest. Drafts, with their files, are kept per `key`, which the owner
 * changes with `use(key, placeholder)`.
 */
export function composer({ testid, label, send, accept }) {
  const drafts = new Map();
  let key = "";
  let files = [];
  let busy = false;
  const input = h("textarea", { rows: 1, "aria-label": label, "data-testid": `${testid}-input`, enterkeyhint: "send" });
  const file = h("input", {
    type: "file",
    multiple: true,
    accept,
    class: "hidden",
    tabindex: "-1",
    "data-testid": `${testid}-file`,
    "aria-label": "Choose a file",
  });
  const attach = h(
    "button",
    {
      class: "icon",
      type: "button",
      "aria-label": "Attach a photo or file",
      title: "Attach a photo or file",
      onclick: () => file.click(),
    },
    "＋",
  );
  const chips = h("div", { class: "chips" });
  const button = h(
    "button",
    {
      class: "b primary send",
      type: "submit",
      "aria-label": "Send",
      title: "Send (Enter)",
      "data-testid": `${testid}-send`,
    },
    "↑",
  );
  const node = h(
    "form",
    { class: "composer", "data-testid": testid },
    chips,
    h("div", { class: "composer-row" }, attach, file, input, button),
  );

  const grow = () => {
    input.style.height = "auto";
    input.style.height = `${Math.min(input.scrollHeight + 2, TALLEST)}px`;
    input.style.overflowY = input.scrollHeight + 2 > TALLEST ? "auto" : "hidden"; // no bar beside a single line
  };
  const drawFiles = () => {
    chips.replaceChildren(
      ...files.map((one) =>
        h(
          "span",
          { class: "chip" },
          one.name,
          h(
            "button",
            {
              type: "button",
              "aria-label": `Leave out ${one.name}`,
              onclick: () => ((files = files.filter((other) => other !== one)), drawFiles()),
            },
            "✕",
          ),
        ),
      ),
    );
  };
  const submit = async () => {
    const text = input.value;
    if (busy || (!text.trim() && !files.length)) return;
    busy = true;
    const sentKey = key;
    const sent = files;
    const done = await send({ text, files: sent }).finally(() => (busy = false));
    if (!done) return;
    const gone = done === true ? { text: true, files: sent } : done;
    const left = (one) => ({
      text: gone.text && one.text === text ? "" : one.text,
      files: one.files.filter((each) => !gone.files.includes(each)),
    });
    if (sentKey !== key) {
      drafts.set(sentKey, left(drafts.get(sentKey))); // somebody is writing elsewhere by now
      return;
    }
    const rest = left({ text: input.value, files });
    if (input.value !== rest.text) input.value = rest.text;
    files = rest.files;
    drawFiles();
    grow();
  };
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    submit();
  });
  input.addEventListener("input", grow);
  input.addEventListener("paste", (event) => {
    if (!event.clipboardData?.files.length) return;
    files = [...files, ...event.clipboardData.files];
    drawFiles();
  });
  file.addEventListener("change", () => {
    files = [...files, ...file.files];
    file.value = ""; // the same file can be chosen again, also elsewhere
    drawFiles();
    input.focus();
  });
  return {
    node,
    focus: () => input.focus(),
    use(newKey, placeholder, disabled = false) {
      if (key !== newKey) {
        drafts.set(key, { text: input.value, files });
        key = newKey;
        const draft = drafts.get(key) ?? { text: "", files: [] };
        input.value = draft.text;
        files = draft.files;
        drawFiles();
        grow();
      }
      if (input.placeholder !== placeholder) input.placeholder = placeholder;
      input.disabled = attach.disabled = button.disabled = disabled;
    },
  };
}
