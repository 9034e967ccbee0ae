// The switchboard's parts: what a switch replaces, and the ablation of `sam_edu.ablation` that it stands for.
import { PARTS, type Part } from "./generated";
import type { Intervention, Source } from "./types";

export const MODES = ["zero", "mean", "resample"] as const;
export type Mode = (typeof MODES)[number];

export const BY_NAME: Map<string, Part> = new Map(PARTS.map((part) => [part.name, part]));

/** Each part once, and no head of a step that is there: a step that is off has all its heads off. */
export function distinct(names: string[]): string[] {
  const parts = [...new Set(names)].map((name) => BY_NAME.get(name)!);
  const steps = new Set(parts.filter(({ head }) => head === null).map(({ step }) => step));
  return parts.filter(({ head, step }) => head === null || !steps.has(step)).map(({ name }) => name);
}

/** The name of the ablation, as `sam_edu.explorer.parts.Part.ablation` gives it. */
export function ablation(part: Part, mode: Mode): string {
  return `${part.name} ${mode === "mean" && part.of_image ? "mean over positions" : mode}`;
}

/** What the switches of these parts do in a mode. */
export function interventions(names: string[], mode: Mode, other: Source): Intervention[] {
  return names.flatMap((name) => {
    const part = BY_NAME.get(name);
    return part ? [intervention(part, mode, other)] : [];
  });
}

function intervention(part: Part, mode: Mode, other: Source): Intervention {
  const mlp = part.step.endsWith(".mlp");
  // Zero of a whole step is zero of what it adds; a mean or another decode goes in before the last linear layer, which
  // makes the same of it.
  if (part.head === null && mode === "zero") return { point: `${part.step}.out`, how: "zero" };
  const point = `${part.step}.${mlp ? "hidden" : "heads"}`;
  const select = part.head === null ? {} : { select: { heads: [part.head] } };
  if (mode === "resample") return { point, how: "transplant", from: other, ...select };
  if (mode === "mean") return { point, how: part.of_image ? "mean_over_positions" : "mean", ...select };
  return { point, how: "zero", ...select };
}
