// What went wrong, in the node's own sentence, where people see it; gone with the next thing that goes well.

export async function guarded(action) {
  const place = document.querySelector("#trouble");
  try {
    const result = await action();
    place.hidden = true;
    return result;
  } catch (error) {
    place.textContent = error.message;
    place.hidden = false;
    return undefined;
  }
}
