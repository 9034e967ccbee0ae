// The guided tour: ten stops that retell notebook 00. Each asks first, then shows.
import type { App } from "./app";
import { fill, h } from "./dom";
import { ATTENTIONS, EFFECTS, HEADS } from "./generated";
import { area } from "./masks";
import { fewestChannels } from "./panels/channels";
import { meanOfHeads, notebookLink } from "./panels/shared";

import type { State } from "./state";
import { tokenNames, promptsOf } from "./state";
import { STRINGS } from "./strings";

/** A stop; its words are those of the same place in `STRINGS.stops`. */
interface Stop {
  notebook: string;
  /** What the stop sets when it is shown. */
  state(app: App): Partial<State>;
  /** What is found on this click, counted from what is shown; "" until it is there. */
  found?(app: App): string;
}

const attention = (index: number, token: number): State["attention"] => ({ of: ATTENTIONS[index]!.path, token, scale: "shared" });

const example = (): Pick<State, "image" | "points" | "box" | "off" | "weights" | "channels" | "other" | "transplant" | "mask"> => ({
  image: "example", points: [], box: null, off: [], weights: {}, channels: 32, other: null, transplant: "", mask: null,
});

const onExample = (app: App) => ({ ...example(), points: [app.catalogue.images[0]!.click] });

const STEP = "transformer.layers.0.cross_attn_token_to_image";

/** How much of a map (of the image tokens) lies on mask 3 of the example, which is a square. */
function shareInside(app: App, weights: Float32Array): number {
  const { grid } = app.catalogue, mask = app.masks[3]!, { width } = app.shown.info, pixel = width / grid;
  let inside = 0, all = 0;
  for (let y = 0; y < grid; y++) {
    for (let x = 0; x < grid; x++) {
      const weight = weights[y * grid + x]!;
      all += weight;
      if (mask[Math.floor((y + 0.5) * pixel) * width + Math.floor((x + 0.5) * pixel)]) inside += weight;
    }
  }
  return inside / all;
}

function whereTheClickLooks(app: App): string {
  const weights = app.answer?.tensors[ATTENTIONS[1]!.tensor];
  if (!weights || !app.masks.length) return "";
  return STRINGS.foundLooks(shareInside(app, meanOfHeads(weights, 5)), area(app.masks[3]!) / app.masks[3]!.length);
}

function whatTheObjectAttendsTo(app: App): string {
  const weights = app.answer?.tensors[ATTENTIONS[2]!.tensor];
  if (!weights || !app.masks.length) return "";
  const [, , queries, keys] = weights.dims as [number, number, number, number];
  const { grid } = app.catalogue, mask = app.masks[3]!, { width } = app.shown.info, pixel = width / grid;
  const sums = new Float32Array(keys), elsewhere = new Float32Array(keys);
  for (let position = 0; position < queries; position++) {
    const [x, y] = [position % grid, Math.floor(position / grid)];
    const to = mask[Math.floor((y + 0.5) * pixel) * width + Math.floor((x + 0.5) * pixel)] ? sums : elsewhere;
    for (let head = 0; head < HEADS; head++) {
      for (let key = 0; key < keys; key++) to[key]! += weights.data[(head * queries + position) * keys + key]!;
    }
  }
  const [all, allElsewhere] = [sums, elsewhere].map((each) => each.reduce((a, b) => a + b, 0)) as [number, number];
  const order = [...sums.keys()].sort((a, b) => sums[b]! - sums[a]!);
  const names = tokenNames(promptsOf(app.state));
  return STRINGS.foundAttends(order.slice(0, 2).map((key) => [names[key]!, sums[key]! / all, elsewhere[key]! / allElsewhere]));
}

const STOPS: Stop[] = [
  {
    notebook: "00",
    state: (app) => ({ ...onExample(app), panel: "masks", mask: 3 }),
    found: (app) => (app.answer ? STRINGS.foundScores([...app.answer.tensors.iou_pred!.data.subarray(1)]) : ""),
  },
  {
    notebook: "07",
    state: (app) => ({ ...onExample(app), panel: "masks", mask: 1 }),
  },
  {
    notebook: "03",
    state: (app) => ({ ...onExample(app), points: [app.catalogue.images[0]!.click, app.catalogue.second], panel: "masks", mask: 0 }),
    found: (app) => (app.answer ? STRINGS.foundScore(app.scoreBefore, app.answer.tensors.iou_pred!.data[0]!) : ""),
  },
  {
    notebook: "02",
    state: (app) => ({ ...onExample(app), panel: "attention", attention: attention(0, 5) }),
  },
  {
    notebook: "02",
    state: (app) => ({ ...onExample(app), panel: "attention", mask: 3, attention: attention(1, 5) }),
    found: whereTheClickLooks,
  },
  {
    notebook: "04",
    state: (app) => ({ ...onExample(app), panel: "attention", mask: 3, attention: attention(2, 5) }),
    found: whatTheObjectAttendsTo,
  },
  {
    notebook: "07",
    state: (app) => ({ ...onExample(app), panel: "channels", mask: 3, channels: 4 }),
    found: (app) => STRINGS.foundChannels(fewestChannels(app, ENOUGH), ENOUGH),
  },
  {
    notebook: "02",
    state: (app) => ({ ...onExample(app), panel: "switches", mask: 3, off: [STEP] }),
    found: (app) => !app.catalogue.held_out ? "" : STRINGS.foundEffect(EFFECTS[`${STEP} mean`]!, EFFECTS[`${STEP} resample`]!),
  },
  {
    notebook: "05",
    state: (app) => {
      const click = app.catalogue.images[0]!.click;
      const [x, y] = app.catalogue.second;
      return { ...onExample(app), panel: "clicks", points: [[x, y, 1]], other: { points: [click], box: null } };
    },
  },
  {
    notebook: "09",
    state: (app) => ({ ...onExample(app), panel: "own" }),
  },
];


/** The IoU with the whole sum from which on a mask is said to be there. */
const ENOUGH = 0.9;

let revealed = 0;

/** Whether a stop has asked and not yet shown: what answers it is hidden. */
export function isPredicting(state: State): boolean {
  return state.stop > 0 && state.stop < STOPS.length && revealed !== state.stop;
}

/** Draw the strip of the stop that the state names. */
export function tourStrip(root: HTMLElement, app: App): void {
  const number = Math.min(app.state.stop, STOPS.length);
  const stop = STOPS[number - 1]!, words = STRINGS.stops[number - 1]!;
  const go = (to: number) => {
    revealed = 0;
    app.set(to >= 1 && to <= STOPS.length ? { stop: to } : { stop: 0 });
  };
  const open = revealed === number;
  const found = open ? (stop.found?.(app) ?? "") : "";
  const shownKey = `${number} ${open} ${found}`;
  if (root.dataset.stop === shownKey) return;
  root.dataset.stop = shownKey;
  const button = (words: string, act: () => void, name: string, disabled = false) =>
    h("button", { type: "button", "data-act": name, disabled, onclick: () => act() }, words);
  fill(
    root,
    h("small", {}, STRINGS.stopOf(number, STOPS.length)),
    h("h2", {}, words.title),
    h("p", {}, h("strong", {}, `${STRINGS.predictFirst}: `), words.question),
    open
      ? h("p", { class: "answer" }, found ? h("strong", {}, `${found} `) : null, words.answer)
      : button(STRINGS.reveal, () => {
          revealed = number;
          app.set(stop.state(app));
        }, "reveal"),
    notebookLink(app, stop.notebook),
    h(
      "div", { class: "actions" },
      button(STRINGS.back, () => go(number - 1), "back", number === 1),
      button(STRINGS.next, () => go(number + 1), "next", number === STOPS.length),
      button("✕", () => go(0), "end-tour"),
    ),
  );
}

