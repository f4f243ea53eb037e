// Questions to the server behind this page, and to nobody else.

const csrf = document.documentElement.dataset.secret;

export class Refused extends Error {}

async function answer(response) {
  if (response.ok) return response.json();
  let words = "";
  const type = response.headers.get("content-type") ?? "";
  if (type.startsWith("application/json")) words = (await response.json()).error ?? "";
  else words = await response.text();
  throw new Refused(words || `The server refused this (${response.status}).`);
}

function unreachable(error) {
  if (error.name === "AbortError" || error instanceof Refused) return error;
  return new Refused("The review command does not answer any more. Look at its window; start it again if it has ended.");
}

export async function get(path, parameters = {}, signal = undefined) {
  const query = new URLSearchParams(parameters).toString();
  try {
    return await answer(await fetch(query ? `${path}?${query}` : path, { signal }));
  } catch (error) {
    throw unreachable(error);
  }
}

export async function post(path, body = {}) {
  try {
    return await answer(
      await fetch(path, {
        method: "POST",
        headers: { "content-type": "application/json", "x-caid-triage": csrf },
        body: JSON.stringify(body),
      }),
    );
  } catch (error) {
    throw unreachable(error);
  }
}

// A thumbnail as a bitmap, or the words that stand in its place. It never becomes an address that could be saved.
export async function picture(identity, size, signal) {
  try {
    const query = new URLSearchParams({ id: identity, size: String(size) });
    const response = await fetch(`/api/thumbnail?${query}`, { signal });
    const type = response.headers.get("content-type") ?? "";
    if (response.ok && type.startsWith("image/")) return { bitmap: await createImageBitmap(await response.blob()) };
    return { words: (await answer(response)).placeholder };
  } catch (error) {
    throw unreachable(error);
  }
}
