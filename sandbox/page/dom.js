// Small tools to make and update nodes. Nothing here ever parses markup: text is always a text node.

/** Make an element: `h("button", {class: "b", onclick: f, "aria-label": "x"}, "text", node)`. */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(4).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Change a text only when it is another one, so that selections and screen readers are left alone. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Set or take away an attribute. */
export function setAttr(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

const rows = new WeakMap();
const LET_GO = ["pointerup", "pointercancel", "dragend", "keyup"];
const CLICK_MS = 100; // a press that was let go becomes a click within that time

/**
 * Make the children of `parent` show `items`, touching only what differs.
 * `spec`: `key(item)`, `signature(item)` (a string; the node is made anew when it changes), `make(item)`.
 * A node in which somebody types or chooses, or on which a button is held down, is left as it is until they have
 * finished: a press whose button is replaced before it is let go would reach nobody.
 */
export function keyed(parent, items, spec) {
  const before = rows.get(parent) ?? new Map();
  const after = new Map();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = spec.key(item);
    if (after.has(key)) continue;
    const signature = spec.signature(item);
    const row = before.get(key) ?? { node: spec.make(item), signature };
    const inPlace = row.node === place;
    if (row.signature !== signature) remade(row, signature, () => spec.make(item));
    else row.wanted = signature;
    after.set(key, row);
    if (inPlace) place = row.node.nextElementSibling;
    else parent.insertBefore(row.node, place);
  }
  for (const [key, row] of before) if (!after.has(key)) row.node.remove();
  rows.set(parent, after);
}

function remade(row, signature, make) {
  const active = document.activeElement;
  const inside = active && active !== document.body && row.node.contains(active);
  const typing =
    inside && active.matches("select, textarea, input:not([type=file])") && active.dataset.idle === undefined;
  if (typing || row.node.matches(":active")) {
    row.make = make;
    row.wanted = signature;
    if (!row.waits) {
      row.waits = true;
      const over = (after) => () => setTimeout(() => finish(row), after);
      if (typing) active.addEventListener("blur", over(0), { once: true });
      else for (const name of LET_GO) document.addEventListener(name, over(CLICK_MS), { once: true, capture: true });
    }
    return;
  }
  const node = make();
  const focus = inside ? active.dataset.focus : undefined;
  row.node.replaceWith(node);
  const same = `[data-focus="${CSS.escape(focus ?? "")}"]`;
  if (focus) (node.matches(same) ? node : node.querySelector(same))?.focus({ preventScroll: true });
  row.node = node;
  row.signature = signature;
}

function finish(row) {
  if (!row.waits) return;
  row.waits = false;
  if (row.signature !== row.wanted && row.node.isConnected) remade(row, row.wanted, row.make);
}

/** Run `change`, and keep the list at its end when it was there before. */
export function keepingEnd(list, change) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 48;
  change();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

/** A short line at the bottom of the window, read out by screen readers. */
export function toast(text, kind = "") {
  const host = document.getElementById("toasts");
  const line = h("div", { class: `toast ${kind}`, "data-testid": "toast" }, text);
  host.append(line);
  while (host.children.length > 4) host.firstElementChild.remove();
  setTimeout(() => line.remove(), 6000);
}

/** Ask before something happens. Resolves to true or false; Escape is no. */
export function confirmed({ title, text, confirm = "Yes", deny = "Cancel", danger = false }) {
  return new Promise((resolve) => {
    const yes = h(
      "button",
      { class: danger ? "b danger" : "b primary", value: "yes", "data-testid": "confirm-yes" },
      confirm,
    );
    const no = h("button", { class: "b", value: "no", "data-testid": "confirm-no" }, deny);
    const box = h(
      "dialog",
      { class: "box small", "aria-label": typeof title === "string" ? title : "Confirm", "data-testid": "confirm" },
      h(
        "form",
        { method: "dialog" },
        h("h2", {}, title),
        h("div", { class: "box-body" }, text),
        h("footer", {}, no, yes),
      ),
    );
    box.addEventListener("close", () => {
      box.remove();
      resolve(box.returnValue === "yes");
    });
    document.body.append(box);
    box.showModal();
  });
}

/** A menu under a button. `choices`: `{label, act, danger, testid}`. Arrow keys move, Escape closes. */
export function menu(anchor, choices, { grid = false } = {}) {
  document.querySelector(".menu")?.remove();
  const close = (refocus) => {
    list.remove();
    anchor.setAttribute("aria-expanded", "false");
    document.removeEventListener("pointerdown", outside, true);
    if (refocus) anchor.focus();
  };
  const outside = (event) => {
    if (!list.contains(event.target)) close(false);
  };
  const list = h(
    "div",
    { class: grid ? "menu grid" : "menu", role: "menu" },
    choices.map(({ label, act, danger, testid, name }) =>
      h(
        "button",
        {
          role: "menuitem",
          class: danger ? "danger" : "",
          "data-testid": testid,
          "aria-label": name,
          onclick: () => {
            close(true);
            act();
          },
        },
        label,
      ),
    ),
  );
  list.addEventListener("keydown", (event) => {
    const all = [...list.children];
    const at = all.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape" || event.key === "Tab") close(true);
    else if (step) all[(at + step + all.length) % all.length].focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  (anchor.closest("dialog") ?? document.body).append(list);
  const at = anchor.getBoundingClientRect();
  const size = list.getBoundingClientRect();
  list.style.left = `${Math.max(8, Math.min(at.left, innerWidth - size.width - 8))}px`;
  const below = at.bottom + 4;
  list.style.top = `${below + size.height > innerHeight ? Math.max(8, at.top - size.height - 4) : below}px`;
  anchor.setAttribute("aria-expanded", "true");
  setTimeout(() => document.addEventListener("pointerdown", outside, true), 0);
  list.firstElementChild?.focus();
}

/** Chosen files as `{name, mime, base64}`; null, and it is said, when one of them can no longer be read. */
export async function readFiles(files) {
  const read = [];
  for (const file of files) {
    try {
      read.push({ name: file.name, mime: file.type, base64: await base64(file) });
    } catch (error) {
      toast(`${file.name} cannot be read (${error.name}). Has it been moved or changed?`, "bad");
      return null;
    }
  }
  return read;
}

async function base64(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

/** `12 kB`, `3.4 MB`. */
export function bytes(size) {
  if (size < 1000) return `${size} B`;
  return size < 1_000_000 ? `${Math.round(size / 1000)} kB` : `${(size / 1_000_000).toFixed(1)} MB`;
}

/** One or two letters that stand for a name; one character is enough in Chinese. */
export function initials(name) {
  const words = name.trim().split(/\s+/).filter(Boolean);
  if (!words.length) return "?";
  if (/[^\u0000-\u024f]/.test(words[0][0])) return [...words[0]][0];
  return words
    .slice(0, 2)
    .map((word) => [...word][0].toUpperCase())
    .join("");
}
