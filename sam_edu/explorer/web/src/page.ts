// The page of the site, and the page that `python -m sam_edu explore` serves.
import { App } from "./app";
import { BrowserBackend } from "./browser/backend";
import { overHttp, PythonBackend } from "./python/backend";
import { STRINGS } from "./strings";
import type { Backend } from "./types";

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
  const app = new App(root, backend, {
    hash: {
      read: () => location.hash,
      write: (hash) => history.replaceState(null, "", hash || location.pathname + location.search),
    },
    pages: document.documentElement.dataset.pages ?? "",
  });
  Object.assign(window, { explorer: app });
  // A link to another state of the page that is open. What is computed meanwhile writes its own state into the address.
  addEventListener("hashchange", ({ newURL }) => app.open(new URL(newURL).hash));
  await app.start();
  still.hidden = true;
  root.hidden = false;
  // What is stored is on the screen; now the model, for whatever comes next.
  if (backend instanceof BrowserBackend) await backend.start().catch(() => undefined);
}

void main().catch((error: unknown) => {
  const note = document.querySelector<HTMLElement>("#still .note");
  if (note) note.textContent = STRINGS.problem(error instanceof Error ? error.message : String(error));
});
