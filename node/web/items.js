// Items as people see them: cards in a grid, and one item's page in a dialog.

import { get, pictureOf, post, reference } from "./api.js";
import { count, make } from "./dom.js";
import { guarded } from "./trouble.js";

// Five of the twelve values a rating may have; the command line takes them all.
const OPINIONS = [[0, "dislike it"], [3, "rather not"], [5, "neither"], [8, "like it"], [10, "love it"]];
const SIMILAR = 8;
let opened = 0;
// Escape: what is on its way into the dialog is no longer wanted either.
document.querySelector("#item").addEventListener("cancel", () => { opened += 1; });

// `user`: whose ratings the buttons write, none without one; `rated`: called after a rating was stored.
export function grid(items, { user, rated } = {}) {
  if (!items.length) return make("p", { class: "empty" }, "Nothing to show.");
  return make("ul", { class: "grid" }, items.map((item) => make("li", {}, card(item, { user, rated }))));
}

// Whatever item is on its way into the dialog, or in it, is no longer wanted.
export function closeItem() {
  opened += 1;
  document.querySelector("#item").close();
}

function card(item, { user, rated }) {
  // Of an item that is gone nothing is known but its id.
  const open = make("button", { type: "button", class: "open", disabled: item.name === null, onclick: () => show(item, user, rated) },
    picture(item), make("span", { class: "name" }, item.name ?? item.item));
  return make("article", { class: "card", "data-item": item.item, "data-publisher": item.publisher },
    open,
    make("p", { class: "facts" }, shop(item), make("span", {}, price(item))),
    item.rating === undefined ? null : make("p", { class: "reason" }, `rated ${item.rating}`),
    item.reason ? make("p", { class: "reason" }, item.reason) : null,
    user ? opinions(item, user, rated) : null);
}

function picture(item) {
  const image = make("img", { src: pictureOf(item), alt: "", loading: "lazy" });
  // A shop may have no picture, or its server may be gone.
  image.addEventListener("error", () => image.replaceWith(make("span", { class: "nopicture" }, "no picture")));
  return image;
}

function shop(item) {
  const hue = [...(item.publisher ?? "")].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
  const badge = make("span", { class: "shop" }, item.platform ?? "gone");
  badge.style.setProperty("--hue", hue);
  return badge;
}

export function price(item) {
  if (item.price === null || item.price === undefined) return "";
  return new Intl.NumberFormat("en", { style: "currency", currency: item.currency }).format(item.price);
}

function opinions(item, user, rated) {
  const rate = (value) => guarded(async () => {
    await post("rate", { user, item: reference(item), value });
    await rated?.(item, value);
  }, () => back.isConnected || buttons[0].isConnected);
  const buttons = OPINIONS.map(([value, words]) =>
    make("button", {
      type: "button", "data-value": String(value), title: words, "aria-label": `${user}: ${words}, ${value} of 10`,
      "aria-pressed": String(item.rating === value), onclick: () => rate(value),
    }, String(value)));
  const back = make("button", { type: "button", class: "back", onclick: () => rate(null) }, "take back");
  return make("div", { class: "opinions" }, buttons, item.rating === undefined ? null : back);
}

async function show(item, user, rated) {
  const mine = ++opened;
  const found = await guarded(() => Promise.all([
    get("item", { item: reference(item) }),
    // What another encoder made can't be compared, but can be looked at.
    get("similar", { item: reference(item), k: SIMILAR }).catch(() => ({ items: [] })),
  ]), () => mine === opened);
  if (!found || mine !== opened) return;
  fill(document.querySelector("#item"), item, ...found, user, rated);
}

function fill(dialog, item, all, near, user, rated) {
  const after = async (...done) => {
    closeItem();
    await rated?.(...done);
  };
  const facts = ["brand", "category", "colour", "gender"].filter((name) => all[name]);
  dialog.replaceChildren(
    make("button", { type: "button", class: "close", "aria-label": "Close", onclick: closeItem }, "×"),
    make("p", { class: "trouble", role: "alert", hidden: true }),
    make("div", { class: "about" }, picture(item),
      make("div", {},
        make("h2", {}, all.name),
        make("p", { class: "facts" }, shop(item), make("span", {}, price(all))),
        make("p", {}, all.description),
        make("dl", {}, facts.map((name) => [make("dt", {}, name), make("dd", {}, all[name])])),
        link(all.page_url),
        user ? opinions(item, user, after) : null)),
    make("h3", {}, near.items.length ? `${count(near.items.length, "item")} like it` : "Nothing here can be compared with it"),
    grid(near.items, { user, rated: after }));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

function link(address) {
  if (!/^https?:\/\//.test(address)) return null;
  return make("p", {}, make("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, "At the shop"));
}
