// The widget of a notebook: the same page, with the kernel's Python as its back-end.
import { App } from "./app";
import { PythonBackend, type Ask } from "./python/backend";
import { toHash } from "./state";
import { STRINGS } from "./strings";

/** What anywidget gives; its types would be a dependency for these five lines. */
interface Model {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  on(event: string, listener: (...given: any[]) => void): void;
  off(event: string, listener: (...given: any[]) => void): void;
  send(content: unknown, callbacks?: unknown, buffers?: ArrayBuffer[] | ArrayBufferView[]): void;
}

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  let number = 0;
  const open = new Map<number, { resolve: (value: [Record<string, any>, DataView[]]) => void; reject: (error: Error) => void }>();
  const receive = (answer: Record<string, any>, buffers: DataView[]) => {
    const waiting = open.get(answer.number as number);
    if (!waiting) return;
    open.delete(answer.number as number);
    if (answer.error) waiting.reject(new Error(String(answer.error)));
    else waiting.resolve([answer, buffers]);
  };
  model.on("msg:custom", receive);
  const ask: Ask = (question, bytes) => {
    return new Promise((resolve, reject) => {
      open.set(++number, { resolve, reject });
      model.send({ ...question, number }, undefined, bytes ? [bytes] : []);
    });
  };
  const root = document.createElement("div");
  root.className = "explorer";
  el.append(root);
  const app = new App(root, new PythonBackend(ask), {
    hash: { read: () => String(model.get("state") ?? ""), write: () => undefined },
    pages: String(model.get("pages") ?? ""),
    onChange: (state) => {
      model.set("state", toHash(state));
      model.save_changes();
    },
  });
  app.start().catch((error: unknown) => {
    root.textContent = STRINGS.problem(error instanceof Error ? error.message : String(error));
  });
  return () => model.off("msg:custom", receive);
}

export default { render };
