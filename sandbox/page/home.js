// The app's Home tab: what it shows the person one acts as, and nobody else.

import { render } from "./blocks.js";
import { keyed, setAttr } from "./dom.js";
import { pressedIn } from "./press.js";
import { on, showHome, state } from "./store.js";

const at = (id) => document.getElementById(id);

function draw() {
  at("slack").classList.toggle("at-home", state.atHome);
  setAttr(at("home-tab"), "aria-current", state.atHome ? "true" : null);
  if (!state.atHome) return;
  const view = state.home;
  at("home-empty").hidden = Boolean(view);
  keyed(at("home"), view ? [state.me] : [], {
    key: (me) => me,
    signature: () => `${view.id} ${view.hash}`,
    make: () => render(view.blocks, { place: { view_id: view.id }, act: pressedIn({ view_id: view.id }) }),
  });
}

export function start() {
  at("home-tab").addEventListener("click", showHome);
  on("slack", draw);
  on("views", draw);
}
