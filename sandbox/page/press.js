// A press on something in a message, a window or the Home tab, by the person one acts as.

import { post, state } from "./store.js";

// `where` is what it stands in: a view, or a message of a channel.
export const pressedIn = (where) => (block, element, fields) =>
  post("slack/press", {
    user: state.me,
    ...where,
    action_id: element.action_id,
    block_id: block.block_id,
    ...fields,
  });
