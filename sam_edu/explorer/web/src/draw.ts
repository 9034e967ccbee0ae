// Maps and masks on canvases. What is drawn is what was computed: a pixel per number.
import { COLOURS } from "./generated";
import type { Basis, Tensor } from "./types";

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

/** From which number to which the colours go. Signed maps are centred at zero; `root` takes the root of the share; what
 * is above the end of an open scale has the last colour. */
export interface Scale {
  low: number;
  high: number;
  signed: boolean;
  root?: boolean;
  open?: boolean;
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

/** A tensor of vectors at positions: (1, positions, channels), or (1, channels, height, width). */
export interface Vectors {
  data: Float32Array;
  channels: number;
  positions: number;
  /** How far apart two positions, and two channels, stand in the data. */
  ofPosition: number;
  ofChannel: number;
}

export function vectors({ dims, data }: Tensor): Vectors {
  if (dims.length === 3) return { data, channels: dims[2]!, positions: dims[1]!, ofPosition: dims[2]!, ofChannel: 1 };
  const positions = dims[2]! * dims[3]!;
  return { data, channels: dims[1]!, positions, ofPosition: 1, ofChannel: positions };
}

/** The number that a share of all lies below: a few peaks would leave the rest dark. The share is near to one. */
export function quantile(all: Float32Array[], share: number): number {
  const last = all.reduce((sum, one) => sum + one.length, 0) - 1;
  const at = share * last, low = Math.floor(at);
  // Only the numbers from that place on are put in order.
  const highest = new Float32Array(last - low + 1).fill(-Infinity);
  for (const one of all) {
    for (const x of one) {
      if (x <= highest[0]!) continue;
      let i = 0;
      for (; i + 1 < highest.length && highest[i + 1]! < x; i++) highest[i] = highest[i + 1]!;
      highest[i] = x;
    }
  }
  const [below, above] = [highest[0]!, highest[Math.min(1, highest.length - 1)]!];
  return Math.max(below + (at - low) * (above - below), 1e-9);
}

/** Draw vectors as colours, by how each differs from the mean vector of the map. The grid has `stride` columns. */
export function drawColours(
  canvas: HTMLCanvasElement, of: Vectors, width: number, height: number, stride: number, basis: Basis,
): void {
  const three = new Float32Array(3 * of.positions), mean = [0, 0, 0];
  const { data, channels, positions, ofPosition, ofChannel } = of;
  const directions = Float64Array.from(basis.directions.flat());
  for (let position = 0; position < positions; position++) {
    let a = 0, b = 0, c = 0;
    for (let channel = 0, i = position * ofPosition, j = 0; channel < channels; channel++, i += ofChannel) {
      const value = data[i]!;
      a += value * directions[j++]!;
      b += value * directions[j++]!;
      c += value * directions[j++]!;
    }
    three.set([a, b, c], 3 * position);
  }
  for (let i = 0; i < three.length; i++) mean[i % 3]! += three[i]! / of.positions;
  const { pixels, put } = blank(canvas, width, height);
  const byte = (position: number, i: number) => {
    const share = (three[3 * position + i]! - mean[i]! - basis.low[i]!) / (basis.high[i]! - basis.low[i]!);
    return Math.round(255 * Math.min(1, Math.max(0, share)));
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const position = y * stride + x;
      pixels[y * width + x] = packed(byte(position, 0), byte(position, 1), byte(position, 2));
    }
  }
  put();
}

/** The bar of a scale: its ends in numbers; with the root, what stands in the middle too. */
export function scaleBar({ low, high, signed, root, open }: Scale): HTMLElement {
  const bar = document.createElement("div");
  bar.className = "bar";
  const colours = (signed ? COLOURS.signed : COLOURS.heat).join(",");
  const strip = document.createElement("span");
  strip.style.background = `linear-gradient(to right, ${colours})`;
  if (root) strip.textContent = number(low + (high - low) / 4);
  bar.append((open && signed ? "≤ " : "") + number(low), strip, (open ? "≥ " : "") + number(high));
  bar.dataset.low = String(low);
  bar.dataset.high = String(high);
  return bar;
}

export function number(x: number): string {
  const size = Math.abs(x);
  const text = size !== 0 && size < 0.001 ? size.toExponential(1) : size.toFixed(size < 1 ? 3 : size < 100 ? 2 : 0);
  return (x < 0 ? "−" : "") + text;
}

/** A mask over an image, by its number: its outline, and what is outside of it darker where `dims`. */
export interface Overlay {
  mask: Uint8Array;
  number: number;
  dims: boolean;
  /** How thick the outline is, as a multiple of the usual. */
  thick?: number;
}

/** What is left of the light outside of a mask. */
const DIM = 0.5;

/** An image's pixels as canvases keep them, in full light and dimmed. */
const lights = new WeakMap<Uint8Array, { full: Uint32Array; dim: Uint32Array }>();

function lightOf(bytes: Uint8Array): { full: Uint32Array; dim: Uint32Array } {
  let found = lights.get(bytes);
  if (!found) {
    const count = bytes.length / 3;
    found = { full: new Uint32Array(count), dim: new Uint32Array(count) };
    for (let i = 0; i < count; i++) {
      const r = bytes[3 * i]!, g = bytes[3 * i + 1]!, b = bytes[3 * i + 2]!;
      found.full[i] = packed(r, g, b);
      found.dim[i] = packed(Math.round(DIM * r), Math.round(DIM * g), Math.round(DIM * b));
    }
    lights.set(bytes, found);
  }
  return found;
}

/** Draw an image with masks over it: what is outside of the one that dims is darker; then the outlines. */
export function drawImage(
  canvas: HTMLCanvasElement, bytes: Uint8Array, width: number, height: number, overlays: Overlay[],
): void {
  const { pixels, put } = blank(canvas, width, height);
  const { full, dim } = lightOf(bytes);
  pixels.set(full);
  for (const { mask, dims } of overlays) {
    if (!dims) continue;
    for (let i = 0; i < pixels.length; i++) if (!mask[i]) pixels[i] = dim[i]!;
  }
  for (const { mask, number, thick: times = 1 } of overlays) {
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
  drawPoints(canvas, points);
}

/** Draw clicks as rings on a canvas of the image's size. */
export function drawPoints(canvas: HTMLCanvasElement, points: [number, number, number][]): void {
  const context = canvas.getContext("2d")!;
  const size = Math.max(canvas.width, canvas.height) / 256;
  for (const [x, y, label] of points) {
    context.beginPath();
    context.arc(x + 0.5, y + 0.5, 5 * size, 0, 7);
    context.lineWidth = 2.5 * size;
    context.strokeStyle = label ? "#5fe08d" : "#ff8f98";
    context.stroke();
  }
}

/** Draw what a mask has kept, gained and lost against another one, over the image in faint grey. */
export function drawChange(
  canvas: HTMLCanvasElement, bytes: Uint8Array, before: Uint8Array, after: Uint8Array, width: number, height: number,
): { lost: number; gained: number } {
  const { pixels, put } = blank(canvas, width, height);
  const [lostColour, gainedColour] = [packed(...rgb(COLOURS.lost)), packed(...rgb(COLOURS.gained))];
  let lost = 0, gained = 0;
  for (let i = 0; i < before.length; i++) {
    const kind = before[i]! + 2 * after[i]!;
    lost += kind === 1 ? 1 : 0;
    gained += kind === 2 ? 1 : 0;
    const light = (bytes[3 * i]! + bytes[3 * i + 1]! + bytes[3 * i + 2]!) / 3;
    const grey = Math.round(kind === 3 ? 90 + 0.35 * light : 190 + 0.25 * light);
    pixels[i] = kind === 1 ? lostColour : kind === 2 ? gainedColour : packed(grey, grey, grey);
  }
  put();
  return { lost, gained };
}
