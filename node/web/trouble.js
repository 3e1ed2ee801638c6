// What went wrong, in the node's own sentence, where people look, until they do the next thing.

// The action's result; undefined where it failed. `alive` says whether who asked is still there to be told.
export async function guarded(action, alive = () => true) {
  for (const place of document.querySelectorAll(".trouble")) place.hidden = true;
  try {
    return await action();
  } catch (error) {
    if (!alive()) return undefined;
    // An open dialog covers the page.
    const place = document.querySelector("dialog[open] .trouble") ?? document.querySelector("#trouble");
    place.textContent = error.message;
    place.hidden = false;
    return undefined;
  }
}
