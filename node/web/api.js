// Questions to the node. Every answer is JSON; a mistake is one sentence, and becomes an Error with it.

export async function get(name, parameters = {}) {
  const stated = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return read(await reach(`/api/${name}?${new URLSearchParams(stated)}`));
}

export async function post(name, body) {
  const headers = { "Content-Type": "application/json" };
  return read(await reach(`/api/${name}`, { method: "POST", headers, body: JSON.stringify(body) }));
}

export async function postBytes(name, bytes) {
  return read(await reach(`/api/${name}`, { method: "POST", body: bytes }));
}

export async function getBytes(name, parameters) {
  const answer = await reach(`/api/${name}?${new URLSearchParams(parameters)}`);
  return answer.ok ? answer.blob() : read(answer);
}

// An item by its publisher's key, so that nobody else's item of the same id is meant.
export function reference(item) {
  return `${item.publisher}/${item.item}`;
}

export function pictureOf(item) {
  return `/api/picture?${new URLSearchParams({ item: reference(item) })}`;
}

async function reach(address, options) {
  try {
    return await fetch(address, options);
  } catch {
    throw new Error("the node does not answer; is it still running?");
  }
}

async function read(answer) {
  let document;
  try {
    document = await answer.json();
  } catch {
    throw new Error(`the node answered ${answer.status}, and not in JSON`);
  }
  if (!answer.ok) throw new Error(document.error ?? `the node answered ${answer.status}`);
  return document;
}
