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
  const list = make("div", { class: "list" }, make("p", { class: "told" }, "Looking…"));
  view.replaceChildren(make("form", { class: "searching", onsubmit: go }, words, make("button", {}, "Search")), list);
  words.focus();
  const answer = await guarded(() => (text ? get("search", { text, k: K }) : get("items", { k: K })), alive);
  if (!alive()) return;
  list.replaceChildren(...(answer ? [make("p", { class: "told" }, tell(text, answer)), grid(answer.items)] : []));
}

function tell(text, answer) {
  if (!answer.items.length) return "No items yet: p2prec catalog import FILE";
  return text ? `Nearest to “${text}”, over all shops` : `${answer.total.toLocaleString("en")} items of all shops, the first of them`;
}
