// What the page and its workers say to each other. The first worker has the whole model. A second one is started where
// several decodes are wanted at once; it has the quick decoder alone, and is given what the first one embedded.
import type { Answer, Catalogue, Pixels, Request, Tensors } from "../types";

export interface Files {
  encoder: string;
  decoder: string;
  quick: string;
  /** The weights of the decoder's two graphs. */
  weights: string;
  means: string;
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
  /** To the first one: what it computes of an image, which the second one is told then, with what it can forget. */
  | { kind: "embed"; id: string }
  | { kind: "embedded"; id: string; width: number; height: number; tensors: Tensors; forget: string[] }
  | { kind: "decode"; request: Request };

export type Asked = Question & { number: number };

export type Reply =
  | { kind: "status"; loaded: number; total: number; step: "files" | "model" }
  | { kind: "done"; number: number; answer: Answer | null }
  | { kind: "failed"; number: number; message: string };

/** How many images a worker keeps embedded. */
export const MOST_EMBEDDED = 3;

/** Whether the quick decoder can answer it, and so the second worker: masks and scores, without changes of what the
 * quick one never computes. */
export function isForSecond({ outputs, interventions }: Request): boolean {
  const isThere = outputs.every((name) => name === "masks" || name === "iou_pred");
  return isThere && interventions.every(({ point, how }) => {
    return !/\.[kv]$/.test(point) && !(how === "transplant" && /image_to_token\.heads$/.test(point));
  });
}
