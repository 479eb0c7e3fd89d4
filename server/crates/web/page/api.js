// The server's answers. The token lives as long as the tab, and goes with a header that no other site can make a browser send.

const KEY = "waxwing-token";

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** What the server says no with. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function ask(method, path, body, signal) {
  const headers = { Authorization: `Bearer ${token.get()}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal, cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The server does not answer.");
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Refused(response.status, problem.detail || `The server answered ${response.status}.`);
}

export async function get(path, signal) {
  return (await ask("GET", path, undefined, signal)).json();
}

export async function post(path, body) {
  return (await ask("POST", path, body)).json();
}

/** Saves a message as a file. */
export async function save(path, name) {
  const url = URL.createObjectURL(await (await ask("GET", path)).blob());
  const link = document.createElement("a");
  [link.href, link.download] = [url, name];
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
