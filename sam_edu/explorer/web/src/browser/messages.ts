// What the page and its worker say to each other.
import type { Answer, Catalogue, Pixels, Request } from "../types";

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
}

export type Question =
  | Start
  | { kind: "image"; id: string; pixels: Pixels }
  | { kind: "decode"; request: Request };

export type Asked = Question & { number: number };

export type Reply =
  | { kind: "status"; loaded: number; total: number; step: "files" | "model" }
  | { kind: "done"; number: number; answer: Answer | null }
  | { kind: "failed"; number: number; message: string };
