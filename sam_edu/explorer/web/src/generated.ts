// What comes from the Python package. `python -m tools.build_explorer --generated` writes the JSON.
import json from "./generated.json";

export interface Attention {
  path: string;
  tensor: string;
  step: string;
  block: number | null;
  queries: string;
  keys: string;
}

export interface Part {
  name: string;
  step: string;
  number: string;
  block: number | null;
  head: number | null;
  of_image: boolean;
}

export interface Gate {
  axes: string[];
  switched: string[];
}

/** A stop of a decode: the tensor that it shows, the one whose rows, a token each, are compared, and what a back-end is
 * asked for in order to show it: the tensor, or means of it. */
export interface Stop {
  name: string;
  block: number | null;
  shows: string;
  tokens: string;
  asked: string;
}

export const ATTENTIONS: Attention[] = json.attentions;
export const PARTS: Part[] = json.parts;
export const STOPS: Stop[] = json.stops;
export const GATES: Record<string, Gate> = json.gates;
export const SIZES: Record<string, number> = json.sizes;
export const COLOURS = json.colours;
export const STEPS: Record<string, string> = json.steps;
/** The page of each notebook. */
export const PAGES: Record<string, string> = json.pages;
export const NOTEBOOKS: Record<string, string> = json.notebooks;
/** Per ablation: mean change of the best mask's IoU over the held-out clicks, and its 95 % interval. */
export const EFFECTS = json.effects as unknown as Record<string, [number, number, number]>;
export const HELD_OUT = { clicks: json.held_out_clicks, scenes: json.held_out_scenes };
export const HEADS = json.heads;
export const CHANNELS = json.channels;
