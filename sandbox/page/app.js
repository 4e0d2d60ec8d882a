// The page: everything is started once, and then the events drive it.

import * as home from "./home.js";
import * as modals from "./modals.js";
import * as phones from "./phones.js";
import * as slack from "./slack.js";
import { changed, listen } from "./store.js";
import * as strip from "./strip.js";

strip.start();
phones.start();
slack.start();
modals.start();
home.start();
window.addEventListener("resize", () => changed("phones"));
listen();
changed("clock", "phones", "slack", "connection");
