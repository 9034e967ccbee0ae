// The page of the site, and the page that `python -m sam_edu explore` serves.
import { App } from "./app";
import { BrowserBackend } from "./browser/backend";
import { overHttp, PythonBackend } from "./python/backend";
import { STRINGS } from "./strings";
import type { Backend } from "./types";

/** So many milliseconds after the last change the address takes it: each write takes time from what computes, and
 * browsers limit how many there may be. */
const WRITE_AFTER = 400;

async function main(): Promise<void> {
  const root = document.querySelector<HTMLElement>("#explorer")!;
  const still = document.querySelector<HTMLElement>("#still")!;
  if (location.protocol === "file:") {
    still.querySelector(".note")!.textContent = STRINGS.noFiles;
    return;
  }
  const base = new URL(".", location.href).href;
  const served = document.documentElement.dataset.backend === "python";
  let backend: Backend;
  if (served) {
    backend = new PythonBackend(overHttp(new URL("ask", base).href));
  } else {
    backend = new BrowserBackend(base);
  }
  let unwritten: string | null = null, timer: number | undefined;
  const write = (): void => {
    window.clearTimeout(timer);
    if (unwritten !== null) history.replaceState(null, "", unwritten || location.pathname + location.search);
    unwritten = null;
  };
  const app = new App(root, backend, {
    hash: {
      read: () => location.hash,
      write: (hash) => {
        unwritten = hash;
        window.clearTimeout(timer);
        timer = window.setTimeout(write, WRITE_AFTER);
      },
    },
    pages: document.documentElement.dataset.pages ?? "",
  });
  Object.assign(window, { explorer: app });
  // A link to another state of the page that is open. What is computed meanwhile writes its own state into the address.
  addEventListener("hashchange", ({ newURL }) => {
    unwritten = null;
    app.open(new URL(newURL).hash);
  });
  addEventListener("pagehide", write);
  await app.start();
  still.hidden = true;
  root.hidden = false;
  // What is stored is on the screen; now the model, for whatever comes next.
  if (backend instanceof BrowserBackend) await backend.start().then(() => app.prepare()).catch(() => undefined);
}

void main().catch((error: unknown) => {
  const note = document.querySelector<HTMLElement>("#still .note");
  if (note) note.textContent = STRINGS.problem(error instanceof Error ? error.message : String(error));
});
