// What the page and its workers say to each other. The first worker has the whole model. A second one is started where
// several decodes are wanted at once; it has the quick decoder and the masks behind it, and is given what the first one
// embedded.
import type { Answer, Catalogue, Pixels, Request, Tensors } from "../types";

export interface Files {
  /** What the grid alone decides. */
  positions: string;
  encoder: string;
  /** What an image alone decides, out of its embedding. */
  of_image: string;
  decoder: string;
  quick: string;
  /** Masks and channels out of what the quick decoder has. */
  masks: string;
  /** Image tokens out of what the quick decoder has. */
  image_tokens: string;
  /** The large weights of `encoder`, and those of all others. */
  encoder_weights: string;
  weights: string;
  means: string;
  /** How many half floats stand first in a file of weights; floats follow. */
  halves: Record<string, number>;
  /** Bytes and SHA-256 of each. */
  sizes: Record<string, number>;
  hashes: Record<string, string>;
}

export interface Start {
  kind: "start";
  base: string;
  files: Files;
  catalogue: Catalogue;
  /** It is the second one. */
  second: boolean;
}

export type Question =
  | Start
  | { kind: "image"; id: string; pixels: Pixels }
  /** Compute what the image alone decides, before a decode needs it. */
  | { kind: "prepare"; id: string }
  /** To the first one: what it computes of an image, which the second one is told then. */
  | { kind: "embed"; id: string }
  | { kind: "embedded"; id: string; width: number; height: number; tensors: Tensors }
  | { kind: "decode"; request: Request };

export type Asked = Question & { number: number };

export type Reply =
  | { kind: "status"; loaded: number; total: number; step: "files" | "model" }
  | { kind: "done"; number: number; answer: Answer | null }
  | { kind: "failed"; number: number; message: string };

/** Whether the second worker can answer it: masks and scores, with changes that need this image alone. Keys and values
 * take the decoder with all gates, which only the first one has. */
export function isForSecond({ outputs, interventions }: Request): boolean {
  const isThere = outputs.every((name) => name === "masks" || name === "iou_pred");
  return isThere && interventions.every(({ point, how }) => how !== "transplant" && !/\.[kv]$/.test(point));
}
