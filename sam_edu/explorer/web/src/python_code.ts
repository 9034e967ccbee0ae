// "Copy as Python": code that computes with sam_edu what the page shows. A test runs it.
import { ablation, BY_NAME } from "./parts";
import type { State } from "./state";
import { STRINGS } from "./strings";
import type { Catalogue, Prompts, Source } from "./types";

function imageCode(id: string): string {
  if (id === "example") return "sam_edu.example().image";
  if (id.startsWith("scene-")) return `ablation.prompts_of(${id.slice(6)})[0]`;
  return `sam_edu.image(${JSON.stringify(id === "own" ? STRINGS.pythonImage : `${id}.png`)})`;
}

function promptCode({ points, box }: Prompts): string {
  const given = [];
  if (points.length) {
    given.push(`point_coords=[${points.map(([x, y]) => `[${x}, ${y}]`).join(", ")}]`);
    given.push(`point_labels=[${points.map(([, , label]) => label).join(", ")}]`);
  }
  if (box) given.push(`box=[${box.join(", ")}]`);
  return given.join(", ");
}

/** A trace of another decode, as the variable `name`. */
function traced(name: string, { image, prompts }: Source): string[] {
  return [
    "",
    "predictor = sam_edu.Predictor(model)",
    `predictor.set_image(${imageCode(image)})`,
    `with sam_edu.trace(predictor) as ${name}:`,
    `    predictor.predict(${promptCode(prompts)})`,
  ];
}

/** The code; `mask` is the number of the mask that is shown. */
export function pythonCode(state: State, mask: number, catalogue: Catalogue, other: Source): string {
  const before: string[] = [];
  const contexts: string[] = [];
  const off = state.panel === "clicks" ? [] : state.off;
  const model = catalogue.model === "tiny" ? 'sam_edu.load("tiny")' : `sam_edu.load(${JSON.stringify(catalogue.model)})`;
  if (off.length) {
    if (state.mode === "resample") before.push(...traced("other_click", other));
    const given = { zero: "", mean: "held_out=ablation.load().means", resample: "other=other_click" }[state.mode];
    before.push("", `references = ablation.References(${given})`);
    for (const name of off) {
      contexts.push(`ablation.ablated(model, ${JSON.stringify(ablation(BY_NAME.get(name)!, state.mode))}, references)`);
    }
  }
  if (state.panel === "clicks" && state.other && state.transplant) {
    before.push(...traced("kept_click", { image: state.image, prompts: state.other }));
    for (const name of ["k", "v"]) {
      contexts.push(`sam_edu.intervene(model, "${state.transplant}.${name}", "transplant", reference=kept_click)`);
    }
  }
  const weights = Object.entries(state.weights);
  if (weights.length && state.panel !== "clicks") {
    before.push(
      "",
      "def moved(hyper_in):",
      ...weights.map(([channel, weight]) => `    hyper_in[:, ${mask}, ${channel}] = ${weight}`),
      "    return hyper_in",
    );
    contexts.push('sam_edu.intervene(model, "hyper_in", moved)');
  }
  const decode = `predictor.predict(${promptCode({ points: state.points, box: state.box })})`;
  const needsAblation = off.length > 0 || [...before, imageCode(state.image)].some((line) => line.includes("ablation."));
  return [
    "from contextlib import ExitStack",
    "",
    "import sam_edu",
    ...(needsAblation ? ["from sam_edu import ablation"] : []),
    "",
    `model = ${model}`,
    ...before,
    "",
    "predictor = sam_edu.Predictor(model)",
    `predictor.set_image(${imageCode(state.image)})`,
    "with ExitStack() as stack:",
    ...contexts.map((context) => `    stack.enter_context(${context})`),
    "    t = stack.enter_context(sam_edu.trace(predictor))",
    `    masks, predicted_iou, low_res = ${decode}`,
    "",
    `logits = t["masks"][0, ${mask}]  # of mask ${mask}; masks and low_res are those of masks 1 to 3`,
    ...(state.panel === "attention" ? [`weights = t["${state.attention.of}.weights"][0]  # (heads, queries, keys)`] : []),
    "",
  ].join("\n");
}
