// What the front-end and its back-ends say to each other. Shapes are those of a trace: the batch of 1 comes first.

/** x, y in pixels of the image, and 1 for a positive click or 0 for a negative one. */
export type Click = [number, number, number];
/** x0, y0, x1, y1 in pixels of the image. */
export type Box = [number, number, number, number];

export interface Prompts {
  points: Click[];
  box: Box | null;
}

/** Another decode, whose tensors are put in. */
export interface Source {
  image: string;
  prompts: Prompts;
}

/** As the arguments of `sam_edu.intervene`. */
export interface Intervention {
  point: string;
  how: "zero" | "mean" | "mean_over_positions" | "transplant" | "values";
  select?: Record<string, number[]>;
  values?: number[];
  from?: Source;
}

export interface Request {
  image: string;
  prompts: Prompts;
  interventions: Intervention[];
  outputs: string[];
  /** Compute it, though it may be stored. */
  anew?: boolean;
}

export interface Tensor {
  dims: number[];
  data: Float32Array;
}

export type Tensors = Record<string, Tensor>;

/** Where numbers come from: computed now, or stored with the page. */
export type Provenance = "now" | "stored";

export interface Answer {
  tensors: Tensors;
  provenance: Provenance;
  milliseconds: number;
}

export interface CatalogueImage {
  id: string;
  title: string;
  /** How the model does on it, in words; "" where nothing is said. */
  note: string;
  file: string;
  width: number;
  height: number;
  /** The file of the ground truth, a bit per mask and pixel, and how many masks it holds. */
  truth: string;
  truths: number;
  click: Click;
}

/** Three directions in the space of the channels, as columns, and the range of each that becomes red, green, blue. */
export interface Basis {
  directions: [number, number, number][];
  low: number[];
  high: number[];
}

export interface Catalogue {
  model: string;
  frame: number;
  grid: number;
  /** Means over held-out clicks exist for these weights. */
  held_out: boolean;
  images: CatalogueImage[];
  /** A second point on the first image, off the clicked part. */
  second: Click;
  /** How tensors of image tokens become colours, by their names; those of the model have one basis. */
  bases: Record<string, Basis>;
  /** Clicks on other scenes, whose tensors "resample" puts in. */
  others: Source[];
}

/** An image's pixels as RGB bytes. */
export interface Pixels {
  width: number;
  height: number;
  rgb: Uint8Array;
}

/** Masks in the image's own pixels, 0 to 3, and their predicted IoU. */
export interface StoredMasks {
  masks: Uint8Array[];
  predicted: number[];
}

export interface Backend {
  catalogue(): Promise<Catalogue>;
  /** The address of a file of the catalogue. */
  file(name: string): Promise<Blob>;
  /** Make an image known by its name; the model sees it when it is decoded first. */
  setImage(id: string, pixels: Pixels): Promise<void>;
  decode(request: Request): Promise<Answer>;
  /** Compute what an image alone decides, before a decode needs it. */
  prepare?(image: string): Promise<void>;
  /** Whether two decodes that are asked for together are computed side by side. To ask is to prepare for it. */
  canDecodeTwo?(): boolean;
  /** That is not needed for now. */
  decodeOne?(): void;
  /** What one ablated part makes of a decode, where it is stored. */
  ablated?(image: string, prompts: Prompts, part: string, mode: string): Promise<StoredMasks | null>;
  /** Called with words and a share from 0 to 1 while the model loads; share 1 is ready, null is a failure. */
  onStatus(listener: (words: string, share: number | null) => void): void;
}
