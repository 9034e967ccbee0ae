// Maps and masks on canvases. What is drawn is what was computed: a pixel per number.
import { COLOURS } from "./generated";

type RGB = [number, number, number];

export function rgb(hex: string): RGB {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)) as RGB;
}

/** A pixel as canvases keep it: four bytes, red first. */
const packed = (r: number, g: number, b: number, a = 255): number => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;

const STEPS = 2048;

/** A colour map as a table of pixels at equal steps. */
function table(colours: string[]): Uint32Array {
  const map = colours.map(rgb);
  return Uint32Array.from({ length: STEPS + 1 }, (_, i) => {
    const at = (i / STEPS) * (map.length - 1);
    const low = Math.floor(at), high = Math.min(map.length - 1, low + 1), part = at - low;
    const [r, g, b] = [0, 1, 2].map((c) => Math.round(map[low]![c]! * (1 - part) + map[high]![c]! * part)) as RGB;
    return packed(r, g, b);
  });
}

const HEAT = table(COLOURS.heat), SIGNED = table(COLOURS.signed);

/** A canvas of so many pixels, and its pixels to be written and put. */
function blank(canvas: HTMLCanvasElement, width: number, height: number): { pixels: Uint32Array; put(): void } {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  const image = context.createImageData(width, height);
  return { pixels: new Uint32Array(image.data.buffer), put: () => context.putImageData(image, 0, 0) };
}

/** From which number to which the colours go. Signed maps are centred at zero; `root` takes the root of the share. */
export interface Scale {
  low: number;
  high: number;
  signed: boolean;
  root?: boolean;
}

/** Draw a map of `width` x `height` numbers out of rows of `stride`. */
export function drawMap(
  canvas: HTMLCanvasElement, data: ArrayLike<number>, width: number, height: number, stride: number,
  scale: Scale,
): void {
  const { pixels, put } = blank(canvas, width, height);
  const map = scale.signed ? SIGNED : HEAT;
  const { low, root } = scale;
  const steps = STEPS / (scale.high - low || 1);
  for (let y = 0; y < height; y++) {
    for (let x = 0, i = y * width, j = y * stride; x < width; x++) {
      let step = (data[j++]! - low) * steps;
      if (root) step = Math.sqrt(step * STEPS);
      pixels[i++] = map[step > 0 ? (step < STEPS ? (step + 0.5) | 0 : STEPS) : 0]!;
    }
  }
  put();
}

/** The bar of a scale: its ends in numbers; with the root, what stands in the middle too. */
export function scaleBar({ low, high, signed, root }: Scale): HTMLElement {
  const bar = document.createElement("div");
  bar.className = "bar";
  const colours = (signed ? COLOURS.signed : COLOURS.heat).join(",");
  const strip = document.createElement("span");
  strip.style.background = `linear-gradient(to right, ${colours})`;
  if (root) strip.textContent = number(low + (high - low) / 4);
  bar.append(number(low), strip, number(high));
  bar.dataset.low = String(low);
  bar.dataset.high = String(high);
  return bar;
}

export function number(x: number): string {
  const size = Math.abs(x);
  const text = size !== 0 && size < 0.001 ? size.toExponential(1) : size.toFixed(size < 1 ? 3 : size < 100 ? 2 : 0);
  return (x < 0 ? "−" : "") + text;
}

/** A mask over an image, by its number; without a tint it is an outline. */
export interface Overlay {
  mask: Uint8Array;
  number: number;
  tint: number;
  /** How thick the outline is, as a multiple of the usual. */
  thick?: number;
}

/** Draw an image with masks over it: a tint inside, and their outlines. */
export function drawImage(
  canvas: HTMLCanvasElement, bytes: Uint8Array, width: number, height: number, overlays: Overlay[],
): void {
  const { pixels, put } = blank(canvas, width, height);
  for (let i = 0; i < width * height; i++) pixels[i] = packed(bytes[3 * i]!, bytes[3 * i + 1]!, bytes[3 * i + 2]!);
  for (const { mask, number, tint, thick: times = 1 } of overlays) {
    const [r, g, b] = rgb(COLOURS.masks[number]!);
    const colour = packed(r, g, b);
    const thick = times * Math.max(1, Math.round(Math.max(width, height) / 220));
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const i = y * width + x;
        if (!mask[i]) continue;
        const edge =
          x < thick || y < thick || x + thick >= width || y + thick >= height ||
          !mask[i - thick] || !mask[i + thick] || !mask[i - thick * width] || !mask[i + thick * width];
        if (edge) pixels[i] = colour;
        else if (tint) {
          const under = pixels[i]!;
          const mix = (from: number, to: number) => Math.round(from * (1 - tint) + to * tint);
          pixels[i] = packed(mix(under & 255, r), mix((under >> 8) & 255, g), mix((under >> 16) & 255, b));
        }
      }
    }
  }
  put();
}

/** Draw a mask's edge and the clicks on a canvas of the image's size, and nothing else: to lie over a map. */
export function drawEdge(
  canvas: HTMLCanvasElement, mask: Uint8Array, width: number, height: number, points: [number, number, number][],
): void {
  const { pixels, put } = blank(canvas, width, height);
  const white = packed(255, 255, 255, 170);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      const right = x + 1 < width ? mask[at + 1] : mask[at], below = y + 1 < height ? mask[at + width] : mask[at];
      if (mask[at] !== right || mask[at] !== below) pixels[at] = white;
    }
  }
  put();
  const context = canvas.getContext("2d")!;
  const size = Math.max(width, height) / 256;
  for (const [x, y, label] of points) {
    context.beginPath();
    context.arc(x + 0.5, y + 0.5, 5 * size, 0, 7);
    context.lineWidth = 2.5 * size;
    context.strokeStyle = label ? "#5fe08d" : "#ff8f98";
    context.stroke();
  }
}

/** Draw what a mask has kept, gained and lost against another one. */
export function drawChange(
  canvas: HTMLCanvasElement, before: Uint8Array, after: Uint8Array, width: number, height: number,
): { lost: number; gained: number } {
  const { pixels, put } = blank(canvas, width, height);
  const colours = ["#ffffff", COLOURS.lost, COLOURS.gained, COLOURS.kept].map((hex) => packed(...rgb(hex)));
  let lost = 0, gained = 0;
  for (let i = 0; i < before.length; i++) {
    const kind = before[i]! + 2 * after[i]!;
    lost += kind === 1 ? 1 : 0;
    gained += kind === 2 ? 1 : 0;
    pixels[i] = colours[kind]!;
  }
  put();
  return { lost, gained };
}
