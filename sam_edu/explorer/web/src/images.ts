// Images: from a file to RGB bytes, and to the model's frame as Pillow resizes them.
import type { Pixels } from "./types";
import { STRINGS } from "./strings";

/** The longest side that the page keeps of an image of one's own. */
export const LONGEST = 1024;
const MOST_PIXELS = 40_000_000;

export class ImageError extends Error {}

/** Read an image file of any kind that the browser knows, upright as its metadata say, made smaller where it is large. */
export async function readImage(file: Blob): Promise<Pixels> {
  if (file.type && !file.type.startsWith("image/")) throw new ImageError(STRINGS.notAnImage(file.type));
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new ImageError(STRINGS.brokenImage);
  }
  const { width, height } = bitmap;
  try {
    if (width < 8 || height < 8) throw new ImageError(STRINGS.tooSmall(width, height));
    if (width * height > MOST_PIXELS) throw new ImageError(STRINGS.tooLarge(width, height));
    const scale = Math.min(1, LONGEST / Math.max(width, height));
    const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    return draw(bitmap, w, h);
  } finally {
    bitmap.close();
  }
}

function draw(bitmap: ImageBitmap, width: number, height: number): Pixels {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.fillStyle = "#fff"; // what is transparent becomes white
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const rgba = context.getImageData(0, 0, width, height).data;
  const rgb = new Uint8Array(3 * width * height);
  for (let i = 0, j = 0; i < rgba.length; i += 4) {
    rgb[j++] = rgba[i]!;
    rgb[j++] = rgba[i + 1]!;
    rgb[j++] = rgba[i + 2]!;
  }
  return { width, height, rgb };
}

/** Width and height in the model's frame, before padding: as `ResizeLongestSide.get_preprocess_shape`. */
export function inputSize(width: number, height: number, frame: number): [number, number] {
  const scale = frame / Math.max(width, height);
  return [Math.max(1, Math.floor(width * scale + 0.5)), Math.max(1, Math.floor(height * scale + 0.5))];
}

interface Weights {
  from: Int32Array;
  counts: Int32Array;
  weights: Int32Array;
  width: number;
}

const BITS = 22; // fixed point, as Pillow's own for 8 bits a channel

/** The weights of a triangle filter, widened where the image is made smaller, in fixed point. */
function triangle(size: number, out: number): Weights {
  const scale = size / out;
  const support = Math.max(scale, 1);
  const width = Math.ceil(support) * 2 + 1;
  const from = new Int32Array(out), counts = new Int32Array(out), weights = new Int32Array(out * width);
  for (let x = 0; x < out; x++) {
    const centre = (x + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const count = Math.min(size, Math.trunc(centre + support + 0.5)) - first;
    const row: number[] = [];
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const weight = Math.max(0, 1 - Math.abs((i + first - centre + 0.5) / support));
      row.push(weight);
      sum += weight;
    }
    row.forEach((weight, i) => (weights[x * width + i] = Math.trunc(0.5 + (weight / sum) * (1 << BITS))));
    from[x] = first;
    counts[x] = count;
  }
  return { from, counts, weights, width };
}

/** Resize as `PIL.Image.resize` does with `BILINEAR`: columns first, then rows, rounded to bytes in between. */
export function resize(pixels: Pixels, width: number, height: number): Pixels {
  let { rgb } = pixels;
  if (width !== pixels.width) {
    const { from, counts, weights, width: most } = triangle(pixels.width, width);
    const out = new Uint8Array(3 * width * pixels.height);
    for (let y = 0; y < pixels.height; y++) {
      for (let x = 0; x < width; x++) {
        for (let c = 0; c < 3; c++) {
          let sum = 1 << (BITS - 1);
          const start = 3 * (y * pixels.width + from[x]!) + c;
          for (let i = 0; i < counts[x]!; i++) sum += rgb[start + 3 * i]! * weights[x * most + i]!;
          out[3 * (y * width + x) + c] = Math.min(255, Math.max(0, sum >> BITS));
        }
      }
    }
    rgb = out;
  }
  if (height !== pixels.height) {
    const { from, counts, weights, width: most } = triangle(pixels.height, height);
    const out = new Uint8Array(3 * width * height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < 3 * width; x++) {
        let sum = 1 << (BITS - 1);
        for (let i = 0; i < counts[y]!; i++) sum += rgb[3 * width * (from[y]! + i) + x]! * weights[y * most + i]!;
        out[3 * width * y + x] = Math.min(255, Math.max(0, sum >> BITS));
      }
    }
    rgb = out;
  }
  return { width, height, rgb };
}

const MEAN = [123.675, 116.28, 103.53], STD = [58.395, 57.12, 57.375];

/** Resized, normalised, padded with zeros on the right and below: (1, 3, frame, frame), as `Sam.preprocess` does it. */
export function preprocess(pixels: Pixels, frame: number): Float32Array {
  const [width, height] = inputSize(pixels.width, pixels.height, frame);
  const { rgb } = resize(pixels, width, height);
  const out = new Float32Array(3 * frame * frame);
  for (let c = 0; c < 3; c++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        out[(c * frame + y) * frame + x] = (rgb[3 * (y * width + x) + c]! - MEAN[c]!) / STD[c]!;
      }
    }
  }
  return out;
}
