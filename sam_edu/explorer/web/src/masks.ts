// From the decoder's logits to masks in the image's own pixels, and what is counted on them.
import { inputSize } from "./images";

/** Bilinear resizing of one map, as `torch.nn.functional.interpolate` with align_corners=False. */
export function interpolate(
  map: Float32Array, width: number, height: number, stride: number, outWidth: number, outHeight: number,
): Float32Array {
  const out = new Float32Array(outWidth * outHeight);
  const positions = (size: number, outSize: number): [Int32Array, Int32Array, Float32Array] => {
    const low = new Int32Array(outSize), high = new Int32Array(outSize), share = new Float32Array(outSize);
    for (let i = 0; i < outSize; i++) {
      const at = Math.max(0, ((i + 0.5) * size) / outSize - 0.5);
      low[i] = Math.min(size - 1, Math.floor(at));
      high[i] = Math.min(size - 1, low[i]! + 1);
      share[i] = at - low[i]!;
    }
    return [low, high, share];
  };
  const [x0, x1, fx] = positions(width, outWidth);
  const [y0, y1, fy] = positions(height, outHeight);
  for (let y = 0; y < outHeight; y++) {
    const top = y0[y]! * stride, below = y1[y]! * stride, v = fy[y]!;
    for (let x = 0; x < outWidth; x++) {
      const u = fx[x]!, a = x0[x]!, b = x1[x]!;
      const above = map[top + a]! * (1 - u) + map[top + b]! * u;
      const under = map[below + a]! * (1 - u) + map[below + b]! * u;
      out[y * outWidth + x] = above * (1 - v) + under * v;
    }
  }
  return out;
}

/** Logits in the image's own pixels: enlarged to the frame, padding cut off, resized; as `Sam.postprocess_masks`. */
export function enlarge(
  logits: Float32Array, side: number, frame: number, width: number, height: number,
): Float32Array {
  const framed = side === frame ? logits : interpolate(logits, side, side, side, frame, frame);
  const [w, h] = inputSize(width, height, frame);
  if (w === width && h === height && w === frame && h === frame) return framed;
  return interpolate(framed, w, h, frame, width, height);
}

/** Where the colours of logits end: at twice the largest positive one, as those far outside are much larger in size. */
export function logitEnd(all: Float32Array[]): number {
  let most = 0, size = 1e-9;
  for (const logits of all) {
    for (const x of logits) {
      if (x > most) most = x;
      if (-x > size) size = -x;
    }
  }
  return most ? Math.min(2 * most, size) : size;
}

export function threshold(logits: Float32Array): Uint8Array {
  const out = new Uint8Array(logits.length);
  for (let i = 0; i < logits.length; i++) out[i] = logits[i]! > 0 ? 1 : 0;
  return out;
}

/** Intersection over union; 1 where both are empty. */
export function iou(a: Uint8Array, b: Uint8Array): number {
  let both = 0, either = 0;
  for (let i = 0; i < a.length; i++) {
    both += a[i]! & b[i]!;
    either += a[i]! | b[i]!;
  }
  return either ? both / either : 1;
}

export function area(mask: Uint8Array): number {
  let sum = 0;
  for (const pixel of mask) sum += pixel;
  return sum;
}

/** Masks of a bit per pixel, as numpy's `packbits` along the last axis writes them. */
export function unpack(bytes: Uint8Array, count: number, width: number, height: number): Uint8Array[] {
  const row = Math.ceil(width / 8);
  return Array.from({ length: count }, (_, n) => {
    const out = new Uint8Array(width * height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        out[y * width + x] = (bytes[(n * height + y) * row + (x >> 3)]! >> (7 - (x & 7))) & 1;
      }
    }
    return out;
  });
}
