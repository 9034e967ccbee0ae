// The state: all that can be set, as JSON in the address. docs/click_lab.md describes it.
import type { Box, Click, Prompts } from "./types";
import { BY_NAME, distinct, MODES, type Mode } from "./parts";
import { ATTENTIONS } from "./generated";

export const PANELS = ["masks", "attention", "channels", "switches", "clicks", "own"] as const;
export type Panel = (typeof PANELS)[number];

export interface State {
  image: string;
  points: Click[];
  box: Box | null;
  /** The mask that panels show, 0 to 3; null leaves it to the rule of `App.mask`. */
  mask: number | null;
  panel: Panel;
  attention: { of: string; token: number; scale: "shared" | "per head" };
  /** Weights of channels that were moved, for the chosen mask; a muted channel has the weight 0. */
  weights: Record<string, number>;
  /** How many channels are summed, in the order of their contribution. */
  channels: number;
  /** The parts that are ablated. */
  off: string[];
  /** What stands in for them in all panels but the switchboard, which shows all three. */
  mode: Mode;
  /** The other of two clicks. */
  other: Prompts | null;
  /** The attention whose keys and values come from the other click. */
  transplant: string;
  stop: number;
}

export const START: State = {
  image: "example",
  points: [],
  box: null,
  mask: null,
  panel: "masks",
  attention: { of: ATTENTIONS[1]!.path, token: 5, scale: "shared" },
  weights: {},
  channels: 32,
  off: [],
  mode: "mean",
  other: null,
  transplant: "",
  stop: 0,
};

/** The state as the part of an address behind "#"; what is as at the start is left out. */
export function toHash(state: State): string {
  const given = Object.entries(state).filter(([key, value]) => {
    return JSON.stringify(value) !== JSON.stringify(START[key as keyof State]);
  });
  return given.length ? "#" + encodeURIComponent(JSON.stringify(Object.fromEntries(given))) : "";
}

/** A state from an address; what is missing, unknown or senseless is as at the start. */
export function fromHash(hash: string): State {
  let given: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(decodeURIComponent(hash.replace(/^#/, "")) || "{}");
    if (parsed && typeof parsed === "object" && !Array.isArray(parsed)) given = parsed as Record<string, unknown>;
  } catch {
    // An address that was cut off starts anew.
  }
  const state = structuredClone(START);
  const number = (x: unknown, low: number, high: number): x is number => {
    return typeof x === "number" && Number.isFinite(x) && x >= low && x <= high;
  };
  const whole = (x: unknown, low: number, high: number): x is number => number(x, low, high) && Number.isInteger(x);
  const one = <T extends string>(x: unknown, of: readonly T[]): x is T => of.includes(x as T);
  const clicks = (x: unknown): x is Click[] => {
    return Array.isArray(x) && x.length <= 20 && x.every((c) => {
      return Array.isArray(c) && c.length === 3 && c.every((n) => number(n, 0, 1e5)) && (c[2] === 0 || c[2] === 1);
    });
  };
  const box = (x: unknown): x is Box => {
    return Array.isArray(x) && x.length === 4 && x.every((n) => number(n, 0, 1e5)) && x[0] < x[2] && x[1] < x[3];
  };
  if (typeof given.image === "string") state.image = given.image;
  if (clicks(given.points)) state.points = given.points;
  if (box(given.box)) state.box = given.box;
  if (whole(given.mask, 0, 3)) state.mask = given.mask;
  if (one(given.panel, PANELS)) state.panel = given.panel;
  if (given.attention && typeof given.attention === "object") {
    const { of, token, scale } = given.attention as Record<string, unknown>;
    if (one(of, ATTENTIONS.map((attention) => attention.path))) state.attention.of = of;
    if (whole(token, 0, 60)) state.attention.token = token;
    if (one(scale, ["shared", "per head"])) state.attention.scale = scale;
  }
  if (given.weights && typeof given.weights === "object") {
    for (const [channel, weight] of Object.entries(given.weights)) {
      if (whole(Number(channel), 0, 31) && number(weight, -1e3, 1e3)) state.weights[channel] = weight;
    }
  }
  if (whole(given.channels, 1, 32)) state.channels = given.channels;
  if (Array.isArray(given.off)) state.off = distinct(given.off.filter((name): name is string => BY_NAME.has(name as string)));
  if (one(given.mode, MODES)) state.mode = given.mode;
  if (given.other && typeof given.other === "object") {
    const other = given.other as Record<string, unknown>;
    const points = clicks(other.points) ? other.points : [];
    const around = box(other.box) ? other.box : null;
    if (points.length || around) state.other = { points, box: around };
  }
  if (one(given.transplant, ATTENTIONS.map((attention) => attention.path))) state.transplant = given.transplant;
  if (whole(given.stop, 0, 20)) state.stop = given.stop;
  return state;
}

export function promptsOf(state: State): Prompts {
  return { points: state.points, box: state.box };
}

/** The tokens of a decode by name, in their order. */
export function tokenNames(prompts: Prompts): string[] {
  const clicks = prompts.points.map(([, , label], i) => `click ${i + 1} ${label ? "+" : "−"}`);
  const rest = prompts.box ? ["corner 1", "corner 2"] : ["padding"];
  return ["IoU", "mask 0", "mask 1", "mask 2", "mask 3", ...clicks, ...rest];
}

export function isEmpty(prompts: Prompts): boolean {
  return prompts.points.length === 0 && prompts.box === null;
}
