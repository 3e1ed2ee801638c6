// Everything that all shops have, by words.

import { get } from "./api.js";
import { make } from "./dom.js";
import { grid } from "./items.js";
import { guarded } from "./trouble.js";

const K = 24;

export async function search(view, text, alive) {
  const words = make("input", { type: "search", value: text, placeholder: "red floral dress", "aria-label": "Search" });
  const go = (event) => {
    event.preventDefault();
    location.hash = `#/search/${encodeURIComponent(words.value.trim())}`;
  };
  const list = make("div", { class: "list" });
  view.replaceChildren(make("form", { class: "searching", onsubmit: go }, words, make("button", {}, "Search")), list);
  words.focus();
  await guarded(async () => {
    const answer = text ? await get("search", { text, k: K }) : await get("items", { k: K });
    if (!alive()) return;
    const told = text ? `Nearest to “${text}”, over all shops` : `${answer.total.toLocaleString("en")} items of all shops, the first of them`;
    list.replaceChildren(make("p", { class: "told" }, answer.items.length ? told : "No items yet: p2prec catalog import FILE"), grid(answer.items));
  });
}
