// A person's list: what every shop has for them, why, what they rated, and the card that they take along.

import { get, getBytes, postBytes } from "./api.js";
import { count, make } from "./dom.js";
import { grid } from "./items.js";
import { guarded } from "./trouble.js";

const K = 24;
const RATED_SHOWN = 12;
const USERS_SHOWN = 200;

export async function people(view, user, alive) {
  const [{ users }, { models }, status] = await Promise.all([
    get("users", { k: USERS_SHOWN }), get("models"), get("status"),
  ]);
  if (!alive()) return;
  const main = make("section", { class: "person" });
  view.replaceChildren(make("div", { class: "two" }, aside(users, user), main));
  if (!user) {
    main.append(make("p", { class: "empty" }, users.length
      ? "Choose somebody, or give a newcomer a name: the list says what all shops have for them, and why."
      : "Nobody has rated anything here yet. Give a newcomer a name, or import ratings: p2prec rate --file ratings.csv"));
    return;
  }
  await person(main, user, models, status.catalogs.map((one) => one.platform).filter(Boolean), alive);
}

function aside(users, user) {
  const list = make("ul", { class: "users" });
  const fill = (found) => list.replaceChildren(...found.map((one) => make("li", {},
    make("a", { href: `#/for/${encodeURIComponent(one.user)}`, "aria-current": one.user === user ? "page" : null },
      make("span", {}, one.user), make("small", {}, String(one.ratings))))));
  fill(users);
  const name = make("input", { type: "text", placeholder: "name", "aria-label": "Name", autocomplete: "off" });
  name.addEventListener("input", () => guarded(async () => {
    const prefix = name.value.trim();
    const found = await get("users", { prefix, k: USERS_SHOWN });
    if (prefix === name.value.trim()) fill(found.users);
  }, () => name.isConnected));
  const go = (event) => {
    event.preventDefault();
    if (name.value.trim()) location.hash = `#/for/${encodeURIComponent(name.value.trim())}`;
  };
  return make("aside", {}, make("form", { onsubmit: go }, name, make("button", {}, "Go")), list, bring());
}

function bring() {
  const file = make("input", { type: "file", "aria-label": "A taste card", onchange: () => guarded(async () => {
    if (!file.files.length) return;
    const { user } = await postBytes("card", await file.files[0].arrayBuffer());
    location.hash = `#/for/${encodeURIComponent(user)}`;
  }, () => file.isConnected) });
  return make("details", {}, make("summary", {}, "A visitor brings a taste card"), file);
}

async function person(main, user, models, platforms, alive) {
  const chosen = { model: "", platform: "" };
  const list = make("div", { class: "list" });
  const told = make("p", { class: "told" }, "Looking…");
  const past = make("div", {});
  const lists = make("div", {}, list, past);
  let asked = 0;
  const fill = async () => {
    const mine = ++asked;
    const latest = () => mine === asked && alive();
    const found = await guarded(() => Promise.all([get("recommend", { user, k: K, ...chosen }), get("ratings", { user })]), latest);
    if (!latest()) return;
    told.textContent = found ? tell(...found) : "";
    if (!found) return;
    const place = placeOf(lists);
    list.replaceChildren(grid(found[0].items, { user, rated: fill }));
    past.replaceChildren(...rated(found[1], user, fill));
    // Whoever rates with the keyboard goes on where they were.
    lists.querySelectorAll(".card")[place?.card]?.querySelector(place.button)?.focus({ preventScroll: true });
  };
  main.append(make("div", { class: "headline" }, make("h2", {}, `For ${user}`), take(user)), told,
    make("div", { class: "choices" }, ...choice("Shop", ["", ...platforms], "all shops", (one) => { chosen.platform = one; fill(); }),
      ...choice("Model", ["", ...models], "what serves best", (one) => { chosen.model = one; fill(); })),
    lists);
  await fill();
}

// Which card has the focus, and which of its buttons; undefined where none has.
function placeOf(lists) {
  const focused = document.activeElement;
  const card = [...lists.querySelectorAll(".card")].findIndex((one) => one.contains(focused));
  if (card < 0) return undefined;
  if (focused.dataset.value !== undefined) return { card, button: `[data-value="${focused.dataset.value}"]` };
  return { card, button: focused.matches(".back") ? ".back" : ".open" };
}

function tell(answer, history) {
  if (answer.note) return `By ${answer.model.replaceAll("_", " ")}; ${answer.note}.`;
  if (answer.model === "card") return "Known by the taste card that was brought here: no name, no rating of elsewhere.";
  if (!answer.ratings) return "Nothing rated yet: a varied choice of what is popular. Rate a few, and watch the list.";
  return `By ${answer.model.replaceAll("_", " ")}, from ${count(history.ratings.length, "rating")} that never leave this node.`;
}

function rated(history, user, fill) {
  if (!history.ratings.length) return [];
  const best = [...history.ratings].sort((one, other) => other.rating - one.rating || other.at_ms - one.at_ms);
  return [make("h3", {}, `Rated highest, of ${history.ratings.length}`), grid(best.slice(0, RATED_SHOWN), { user, rated: fill })];
}

function choice(words, values, first, chosen) {
  const options = values.map((value) => make("option", { value }, value === "" ? first : value.replaceAll("_", " ")));
  const select = make("select", { "aria-label": words, onchange: () => chosen(select.value) }, options);
  return [make("label", {}, `${words} `, select)];
}

function take(user) {
  const button = make("button", { type: "button", onclick: () => guarded(async () => {
    const address = URL.createObjectURL(await getBytes("card", { user }));
    make("a", { href: address, download: "taste.card" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }, () => button.isConnected) }, "Taste card to take along");
  return button;
}
