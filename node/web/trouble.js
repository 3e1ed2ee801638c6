// What went wrong, in the node's own sentence, where people see it, until they do the next thing.

// The action's result; undefined where it failed.
export async function guarded(action) {
  const place = document.querySelector("#trouble");
  place.hidden = true;
  try {
    return await action();
  } catch (error) {
    place.textContent = error.message;
    place.hidden = false;
    return undefined;
  }
}
