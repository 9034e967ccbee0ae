// What several panels need.
import type { App } from "../app";
import { h } from "../dom";
import { PAGES } from "../generated";
import { inputSize } from "../images";
import { enlarge, threshold } from "../masks";
import { fixed, STRINGS } from "../strings";
import type { Tensor, Tensors } from "../types";

/** A link to the notebook that explains what is shown; nothing where the pages are not beside. */
export function notebookLink(app: App, number: string): HTMLElement | null {
  const { pages } = app.options;
  return pages
    ? h("p", { class: "notebook" }, h("a", { href: `${pages}notebooks/${PAGES[number]}.html` }, STRINGS.notebook(number)))
    : null;
}

/** Call with the pixel under the pointer, of a canvas that shows so many pixels. */
export function onPosition(
  canvas: HTMLElement, size: () => { width: number; height: number }, act: (x: number, y: number) => void,
): void {
  canvas.addEventListener("pointermove", (event) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const { width: w, height: h_ } = size();
    const x = Math.floor(((event.clientX - left) * w) / width), y = Math.floor(((event.clientY - top) * h_) / height);
    if (x >= 0 && y >= 0 && x < w && y < h_) act(x, y);
  });
}

/** The image tokens that lie on the image, not on the padding: columns and rows of the grid. */
export function gridSize(app: App): { width: number; height: number } {
  const { frame, grid } = app.catalogue;
  const [width, height] = inputSize(app.shown.info.width, app.shown.info.height, frame);
  return { width: Math.ceil((width * grid) / frame), height: Math.ceil((height * grid) / frame) };
}

/** A mask of a decode in the image's own pixels. */
export function maskOf(app: App, { masks }: Tensors, number: number): Uint8Array {
  const { frame, grid } = app.catalogue, { width, height } = app.shown.info;
  const side = 4 * grid, size = side * side;
  return threshold(enlarge(masks!.data.subarray(number * size, (number + 1) * size), side, frame, width, height));
}

/** One token's attention over the image, the mean of the heads. */
export function meanOfHeads({ dims, data }: Tensor, token: number): Float32Array {
  const [, heads, queries, keys] = dims as [number, number, number, number];
  const mean = new Float32Array(keys);
  for (let head = 0; head < heads; head++) {
    const start = (head * queries + token) * keys;
    for (let key = 0; key < keys; key++) mean[key]! += data[start + key]! / heads;
  }
  return mean;
}

/** A choice from a list. */
export function select(
  label: string, name: string, options: [string, string][], chosen: () => string, choose: (value: string) => void,
): { element: HTMLElement; update(options?: [string, string][]): void } {
  const list = h("select", { name, onchange: () => choose(list.value) });
  let shown = "";
  const update = (given: [string, string][] = options) => {
    const key = JSON.stringify(given);
    if (key !== shown) list.replaceChildren(...given.map(([value, words]) => h("option", { value }, words)));
    shown = key;
    list.value = chosen();
  };
  update();
  return { element: h("label", { class: "choice" }, `${label} `, list), update };
}

/** Bars of numbers with their names, on one scale that ends at `end` or at the largest; shares are in percent. */
export function bars(names: string[], values: ArrayLike<number>, signed: boolean, end?: number): HTMLElement {
  const words = (value: number) => (signed ? fixed(value, 2) : `${(100 * value).toPrecision(2)} %`);
  const most = end ?? Math.max(...Array.from(values, Math.abs), 1e-9);
  return h(
    "dl", { class: signed ? "bars signed" : "bars" },
    ...names.flatMap((name, i) => {
      const value = values[i]!;
      const share = Math.abs(value) / most;
      return [
        h("dt", {}, name),
        h(
          "dd", { "data-value": value },
          h("span", { class: value < 0 ? "negative" : "positive", style: `--share: ${share}` }),
          h("small", {}, words(value)),
        ),
      ];
    }),
  );
}
