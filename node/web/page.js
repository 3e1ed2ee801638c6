// The page: which view the address names, and the line that says how the node is.

import { get } from "./api.js";
import { count } from "./dom.js";
import { closeItem } from "./items.js";
import { network } from "./network.js";
import { people } from "./people.js";
import { search } from "./search.js";
import { guarded } from "./trouble.js";

const VIEWS = { for: people, search, network };
const SUMMARY_MS = 5000;
let shown = 0;

async function route() {
  const mine = ++shown;
  const [, name = "for", about = ""] = location.hash.split("/");
  const chosen = Object.hasOwn(VIEWS, name) ? name : "for";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#/${chosen}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  closeItem();
  const alive = () => mine === shown;
  await guarded(() => VIEWS[chosen](document.querySelector("#view"), words(about), alive), alive);
}

// Somebody may have typed the address.
function words(about) {
  try {
    return decodeURIComponent(about);
  } catch {
    return about;
  }
}

async function summary() {
  const line = document.querySelector("#summary");
  try {
    const status = await get("status");
    const items = status.catalogs.reduce((sum, one) => sum + one.items_known, 0);
    const peers = status.peers.filter((one) => one.connected).length;
    document.querySelector("#platform").textContent = status.platform;
    document.title = `${status.platform} · p2prec`;
    line.textContent = `${count(items, "item")} of ${count(status.catalogs.length, "shop")} · ${count(peers, "peer")} connected`;
  } catch {
    line.textContent = "the node does not answer";
  }
  setTimeout(summary, SUMMARY_MS);
}

addEventListener("hashchange", route);
route();
summary();
