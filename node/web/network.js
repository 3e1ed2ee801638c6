// Whom this node knows, what it holds of them, what they learned together, and signed questions to them.

import { get, post, postBytes } from "./api.js";
import { count, make, table } from "./dom.js";
import { grid } from "./items.js";
import { guarded } from "./trouble.js";

const REFRESH_MS = 2000;

export async function network(view, _, alive) {
  const first = await get("status");
  if (!alive()) return;
  const shown = {};
  const places = Object.fromEntries([...Object.keys(SECTIONS), "asking"].map((name) => [name, make("section", {})]));
  view.replaceChildren(...Object.values(places));
  // Only what changed is made anew: people select what they read, and scroll in it.
  const put = (name, about, contents) => {
    const now = JSON.stringify(about);
    if (shown[name] !== now) places[name].replaceChildren(...contents());
    shown[name] = now;
  };
  const refresh = (status) => {
    for (const [name, [about, contents]] of Object.entries(SECTIONS)) put(name, about(status), () => contents(status));
    put("asking", others(status), () => asking(others(status)));
  };
  refresh(first);
  const tick = async () => {
    if (!alive()) return;
    // The line at the top says when the node is gone.
    const status = document.hidden ? undefined : await get("status").catch(() => undefined);
    if (status && alive()) refresh(status);
    setTimeout(tick, REFRESH_MS);
  };
  setTimeout(tick, REFRESH_MS);
}

// What each shows, and how.
const SECTIONS = {
  catalogs: [(status) => status.catalogs, catalogs],
  peers: [(status) => [status.peers, status.addresses], peers],
  models: [(status) => status.models.map(learned), models],
  bytes: [(status) => [status.bytes_in, status.bytes_out], traffic],
};

function catalogs(status) {
  return [make("h2", {}, "Catalogs"), table(["Shop", "Items", "", "Signed", "State", "Publisher"], status.catalogs.map((one) => [
    one.platform, `${one.items_known.toLocaleString("en")} of ${one.items_total.toLocaleString("en")}`,
    make("progress", { value: one.items_known, max: Math.max(one.items_total, 1), "aria-label": "items here" }),
    one.version && new Date(one.version).toLocaleString(), one.comparable || one.state === "empty" ? one.state : `${one.state}, another encoder`,
    key(one.publisher),
  ]))];
}

function peers(status) {
  const rows = status.peers.map((one) => [
    key(one.peer_id), one.banned_seconds ? `banned for ${one.banned_seconds} s` : one.connected ? "connected" : "gone", String(one.score), pairs(one.faults),
  ]);
  return [make("h2", {}, "Peers"),
    rows.length ? table(["Peer", "", "Score", "Faults"], rows) : make("p", { class: "empty" }, "Nobody yet: start the node with --peer ADDRESS, or --mdns."),
    make("p", { class: "addresses" }, "This node: ", ...status.addresses.map((one) => make("code", {}, one)))];
}

function models(status) {
  const columns = ["Model", "Age", "Users here", "Nodes", "", "Updates accepted", "Refused", "Privacy"];
  return [make("h2", {}, "Learned together"),
    status.models.length ? table(columns, status.models.map(learned)) : make("p", { class: "empty" }, "Nothing yet.")];
}

function traffic(status) {
  return [make("h2", {}, "Bytes"),
    table(["Kind", "In", "Out"], kinds(status).map((kind) => [kind, bytes(status.bytes_in[kind]), bytes(status.bytes_out[kind])]))];
}

function learned(one) {
  const helps = new Map([[null, "nobody heard yet"], [true, "the network helps"], [false, "does not help: ranks alone"]]);
  const sum = (name) => String(Object.values(one.ledger).reduce((total, entry) => total + entry[name], 0));
  const privacy = !one.published ? "nothing published" : one.epsilon === null ? "none promised" : `ε ${one.epsilon.toFixed(2)}`;
  return [one.model.replaceAll("_", " "), String(one.age), String(one.users), String(one.nodes), helps.get(one.network_helps), sum("accepted"), sum("refused"), one.stopped ?? privacy];
}

function kinds(status) {
  return [...new Set([...Object.keys(status.bytes_in), ...Object.keys(status.bytes_out)])].sort();
}

function bytes(number) {
  return number === undefined ? "–" : number.toLocaleString("en");
}

function pairs(faults) {
  return Object.entries(faults ?? {}).map(([reason, times]) => `${reason} ${times}`).join(", ");
}

function key(peer) {
  return make("code", { title: peer }, `…${peer.slice(-8)}`);
}

function others(status) {
  return status.catalogs.filter((one) => one.publisher !== status.peer_id && one.platform).map((one) => [one.publisher, one.platform]);
}

// A signed question to a peer; its answer is a receipt, checked here and kept by whoever asked.
function asking(shops) {
  const whom = make("select", { "aria-label": "Peer" }, shops.map(([publisher, platform]) => make("option", { value: publisher }, platform)));
  const words = make("input", { type: "text", placeholder: "black jeans", "aria-label": "Question", required: true });
  const answer = make("div", {});
  let asked = 0;
  const ask = async (event) => {
    event.preventDefault();
    const mine = ++asked;
    const latest = () => mine === asked && answer.isConnected;
    answer.replaceChildren(make("p", { class: "told" }, "Asking…"));
    const told = await guarded(() => receipt(whom.value, words.value), latest);
    if (latest()) answer.replaceChildren(...(told ?? []));
  };
  const form = shops.length ? make("form", { class: "searching", onsubmit: ask }, whom, words, make("button", {}, "Ask"))
    : make("p", { class: "empty" }, "No other shop is known yet.");
  return [make("h2", {}, "Ask another shop's node"), form, answer];
}

async function receipt(peer, text) {
  const answer = await post("query", { peer, text });
  const bytes = Uint8Array.from(atob(answer.receipt), (letter) => letter.charCodeAt(0));
  const checked = await postBytes("verify", bytes);
  const at = new Date(checked.at).toLocaleTimeString();
  const told = checked.valid
    ? `${count(checked.items.length, "item")}, signed by …${checked.signed_by.slice(-8)} at ${at}: the receipt is valid. `
    : `The receipt is not valid: ${checked.reason}. `;
  const address = URL.createObjectURL(new Blob([bytes]));
  return [make("p", { class: "told" }, told, make("a", { href: address, download: "answer.p2prec" }, "Keep it")), grid(answer.items)];
}
