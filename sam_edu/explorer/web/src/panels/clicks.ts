// Two clicks: one is kept, the other is moved; their streams side by side, and a transplant from one into the other.
import type { App } from "../app";
import { fill, h } from "../dom";
import { drawColours, drawImage, drawMap, drawPoints, number, quantile, scaleBar, vectors, type Scale } from "../draw";
import { ATTENTIONS, CHANNELS, STEPS, STOPS, type Stop } from "../generated";
import { iou, logitEnd } from "../masks";
import { isEmpty, promptsOf, tokenNames } from "../state";
import { STRINGS } from "../strings";
import type { Answer, Request, Tensor, Tensors } from "../types";
import type { Panel } from "./panel";
import { bars, gridSize, maskOf, meanOfHeads, notebookLink, select } from "./shared";

/** The tensor that the image alone decides. */
const OF_IMAGE = "src";
const TENSORS = [...new Set(STOPS.flatMap(({ asked, tokens }) => [asked, tokens]))].filter((name) => name && name !== OF_IMAGE);

interface Two {
  key: string;
  /** What `kept` answers. */
  other: string;
  image: Tensor;
  kept: Answer;
  /** The answer of this prompt, of the same provenance: stored numbers are rounded, and equal ones have to be equal. */
  current: Answer;
  transplanted: Answer | null;
}

const results = new WeakMap<App, Two>();

function key(app: App): string {
  return JSON.stringify([app.imageKey, promptsOf(app.state), app.state.other, app.state.transplant]);
}

export const clicksPanel: Panel = {
  outputs: () => TENSORS,
  async more(app, isLatest) {
    const { other, transplant, image } = app.state;
    if (!other || isEmpty(promptsOf(app.state)) || results.get(app)?.key === key(app)) return;
    const wanted = key(app), ofOther = JSON.stringify([app.imageKey, other]);
    const base: Request = { image, prompts: other, interventions: [], outputs: ["iou_pred", ...TENSORS] };
    // While one click is moved, the other one's decode and the image stay.
    const before = results.get(app)?.other === ofOther ? results.get(app)! : null;
    let kept = before?.kept ?? (await app.decode(base)), current = app.answer!;
    const ofImage = before?.image ?? (await app.decode({ ...base, outputs: [OF_IMAGE] })).tensors[OF_IMAGE]!;
    if (kept.provenance !== current.provenance) {
      if (!isLatest()) return;
      if (kept.provenance === "stored") kept = await app.decode({ ...base, anew: true });
      else current = await app.decode({ ...base, prompts: promptsOf(app.state), anew: true });
    }
    let transplanted: Answer | null = null;
    if (transplant && sameTokens(app)) {
      if (!isLatest()) return;
      const from = { image, prompts: other };
      const interventions = ["k", "v"].map((name) => ({ point: `${transplant}.${name}`, how: "transplant" as const, from }));
      transplanted = await app.decode({ ...base, prompts: promptsOf(app.state), interventions, outputs: ["masks", "iou_pred"] });
    }
    results.set(app, { key: wanted, other: ofOther, image: ofImage, kept, current, transplanted });
  },
  leave: (app) => void results.delete(app),
  view(app) {
    const freeze = h("button", {
      type: "button", "data-act": "freeze",
      onclick: () => app.set({ other: app.state.other ? null : structuredClone(promptsOf(app.state)), transplant: "" }),
    });
    const note = h("p");
    const canvases = [STRINGS.kept, STRINGS.current, STRINGS.withTransplant].map((words) => {
      const canvas = h("canvas", { class: "map", role: "img" });
      const caption = h("figcaption"), scores = h("p", { class: "scores" });
      return { canvas, caption, words, scores, figure: h("figure", {}, caption, canvas, scores) };
    });
    const streams = streamsView(app);
    const choice = select(
      STRINGS.transplant, "transplant",
      [["", STRINGS.transplantNone], ...ATTENTIONS.map((one): [string, string] => {
        const kind = one.queries === "image" ? STRINGS.kinds.image : one.keys === "image" ? STRINGS.kinds.tokens : STRINGS.kinds.self;
        return [one.path, STRINGS.attentionOption(one.step, one.block, kind)];
      })],
      () => app.state.transplant, (transplant) => app.set({ transplant }),
    );
    const element = h(
      "div", {}, h("p", {}, STRINGS.clicksLead), freeze, note,
      h("div", { class: "two" }, ...canvases.map(({ figure }) => figure)), streams.element, choice.element, notebookLink(app, "05"),
    );
    return {
      element,
      draw() {
        const { other } = app.state;
        freeze.textContent = other ? STRINGS.release : STRINGS.freeze;
        choice.update();
        choice.element.hidden = !other;
        const two = results.get(app);
        const ready = other && two?.key === key(app);
        note.textContent = !other ? "" : !sameTokens(app) ? STRINGS.differentTokens : sameClick(app) ? STRINGS.nowElsewhere : "";
        element.dataset.shown = String(Boolean(ready));
        canvases.forEach(({ figure }, i) => (figure.hidden = !ready || (i === 2 && !two?.transplanted)));
        streams.element.hidden = !ready;
        if (!ready) return;
        const masks = [two.kept, two.current, two.transplanted].map((answer) => (answer ? maskOf(app, answer.tensors, app.mask) : null));
        masks.forEach((mask, i) => {
          if (!mask) return;
          const { canvas, caption, words } = canvases[i]!;
          caption.textContent = words(app.mask);
          const { width, height } = app.shown.info;
          drawImage(canvas, app.shown.pixels.rgb, width, height, [{ mask, number: app.mask, dims: true }]);
          drawPoints(canvas, i ? app.state.points : app.state.other!.points);
          canvas.setAttribute("aria-label", words(app.mask));
        });
        if (masks[2]) {
          const { scores, figure } = canvases[2]!;
          const [own, theirs] = [iou(masks[2], masks[1]!), iou(masks[2], masks[0]!)];
          scores.textContent = STRINGS.transplanted(own, theirs);
          figure.dataset.own = String(own);
          figure.dataset.other = String(theirs);
        }
        streams.draw(two, iou(masks[0]!, masks[1]!));
      },
    };
  },
};

function sameTokens(app: App): boolean {
  const { other } = app.state;
  return other !== null && tokenNames(other).length === tokenNames(promptsOf(app.state)).length;
}

function sameClick(app: App): boolean {
  return JSON.stringify(app.state.other) === JSON.stringify(promptsOf(app.state));
}

// --- The streams ---

const isAttention = ({ shows }: Stop) => shows.endsWith(".weights");
const isMap = (stop: Stop) => !isAttention(stop) && stop.shows !== "hyper_in" && stop.shows !== "masks";

/** The nine stops as rows: the tensor of the kept prompt, that of this one, and how far apart they are. */
function streamsView(app: App): { element: HTMLElement; draw(two: Two, maskIou: number): void } {
  const canvas = () => h("canvas", { class: "map", role: "img" });
  const rows = STOPS.map((stop) => {
    const sides = [h("div"), h("div")], canvases = [canvas(), canvas()];
    sides.forEach((side, i) => fill(side, canvases[i]!));
    const field = canvas(), tokens = h("div"), words = h("p", { class: "scores" });
    const apart = h("div", {}, isMap(stop) ? field : null, tokens, words);
    const name = h(
      "div", {}, h("strong", {}, STRINGS.stopName(stop.name, stop.block)), " ", h("span"),
      h("code", { class: "tensor" }, stop.shows),
    );
    const row = h("div", { class: "stop", role: "row", "data-stop": stop.shows }, ...[name, ...sides, apart].map((one, i) => {
      one.setAttribute("role", i ? "cell" : "rowheader");
      return one;
    }));
    return { stop, row, name, sides, canvases, field, tokens, words };
  });
  const attentionBar = h("div"), fieldBar = h("div"), logitBar = h("div");
  /** What stands on a canvas: the image and the click that is kept stay as they are. */
  const drawn = new WeakMap<HTMLCanvasElement, Tensor>();
  const head = ["", STRINGS.keptShort, STRINGS.currentShort, STRINGS.apart].map((words) => h("div", { role: "columnheader" }, words));
  const element = h(
    "div", { class: "streams" },
    h("p", {}, STRINGS.streams),
    h("p", { class: "caution" }, STRINGS.streamColours),
    ...[[STRINGS.attentionBar, attentionBar], [STRINGS.fieldBar, fieldBar], [STRINGS.logitBar, logitBar]]
      .map(([words, bar]) => h("div", { class: "caution scale" }, words!, bar!)),
    h("div", { role: "table", "aria-label": STRINGS.streams },
      h("div", { class: "stop head", role: "row" }, ...head), ...rows.map(({ row }) => row)),
  );
  return {
    element,
    draw({ image, kept, current }, maskIou) {
      const both = [kept, current].map(({ tensors }): Tensors => ({ ...tensors, [OF_IMAGE]: image }));
      const { grid } = app.catalogue;
      const size = gridSize(app);
      const names = [tokenNames(app.state.other!), tokenNames(promptsOf(app.state))];
      const attention = rows.filter(({ stop }) => isAttention(stop)).map(({ stop }) => {
        return both.map((tensors) => meanOfHeads(tensors[stop.shows]!, readerOf(app, stop)));
      });
      const scale: Scale = { low: 0, high: quantile(attention.flat(), 0.998), signed: false, root: true, open: true };
      const fields = rows.filter(({ stop }) => isMap(stop)).map(({ stop }) => field(both[0]![stop.asked]!, both[1]![stop.asked]!));
      const fieldScale: Scale = { low: 0, high: highest(fields), signed: false };
      const side = 4 * grid, ofMask = (tensors: Answer["tensors"]) => tensors.masks!.data.subarray(app.mask * side * side, (app.mask + 1) * side * side);
      const logits = both.map(ofMask);
      const high = logitEnd(logits);
      const logitScale: Scale = { low: -high, high, signed: true, open: true };
      for (const { stop, row, name, sides, canvases, field: over, tokens, words } of rows) {
        const what = STRINGS.stopShows(stop.shows, STEPS[stop.shows.replace(/layers\.\d/, "layers.{i}")] ?? "", names[1]![readerOf(app, stop)]!, app.mask);
        name.querySelector("span")!.textContent = what;
        canvases.forEach((one, i) => one.setAttribute("aria-label", `${i ? STRINGS.currentShort : STRINGS.keptShort}: ${what}`));
        row.dataset.apart = "";
        words.textContent = "";
        if (isMap(stop)) {
          both.forEach((tensors, i) => {
            const basis = app.catalogue.bases[stop.shows] ?? app.catalogue.bases.src!;
            const tensor = tensors[stop.asked]!, one = canvases[i]!;
            if (drawn.get(one) === tensor) return;
            drawColours(one, vectors(tensor), size.width, size.height, grid, basis);
            drawn.set(one, tensor);
          });
          const distance = fields.shift()!;
          drawMap(over, distance, size.width, size.height, grid, fieldScale);
          const mean = distance.reduce((a, b) => a + b, 0) / distance.length;
          over.setAttribute("aria-label", `${STRINGS.apart}: ${what}`);
          over.hidden = mean === 0;
          row.dataset.apart = String(mean);
          words.textContent = mean === 0 ? STRINGS.equal : STRINGS.meanApart(mean);
        } else if (isAttention(stop)) {
          attention.shift()!.forEach((map, i) => drawMap(canvases[i]!, map, size.width, size.height, grid, scale));
        } else if (stop.shows === "hyper_in") {
          const weights = both.map((tensors) => tensors.hyper_in!.data.subarray(app.mask * CHANNELS, (app.mask + 1) * CHANNELS));
          const most = highest(weights);
          weights.forEach((one, i) => fill(sides[i]!, weightBars(one, most, what)));
        } else {
          logits.forEach((one, i) => drawMap(canvases[i]!, one, size.width * 4, size.height * 4, side, logitScale));
          words.textContent = STRINGS.masksIou(maskIou);
        }
        if (stop.tokens) {
          const after = stop.tokens === "hyper_in" ? STRINGS.weightsOfMasks : STRINGS.tokensAfter(stop.tokens === "tokens" ? "" : STEPS[stop.tokens.replace(/layers\.\d/, "layers.{i}")]!);
          fill(tokens, h("small", {}, after), tokensApart(both[0]![stop.tokens]!, both[1]![stop.tokens]!, names));
        }
      }
      fill(attentionBar, scaleBar(scale));
      fill(fieldBar, scaleBar(fieldScale));
      fill(logitBar, scaleBar(logitScale));
    },
  };
}

/** The token whose attention a stop shows: the prompt's first one, or in the last attention that of the chosen mask. */
function readerOf(app: App, { shows }: Stop): number {
  return shows.includes("final_attn") ? 1 + app.mask : 5;
}

function highest(all: ArrayLike<number>[]): number {
  let most = 1e-9;
  for (const one of all) for (let i = 0; i < one.length; i++) most = Math.max(most, Math.abs(one[i]!));
  return most;
}

/** At each position the distance of two vectors, in parts of the mean length over both maps. */
function field(one: Tensor, other: Tensor): Float32Array {
  const a = vectors(one), b = vectors(other);
  const apart = new Float32Array(a.positions);
  if (one === other) return apart;
  const { channels, positions, ofPosition, ofChannel } = a, left = a.data, right = b.data;
  let lengths = 0;
  for (let position = 0; position < positions; position++) {
    let squares = 0, ofOne = 0, ofOther = 0;
    for (let channel = 0, i = position * ofPosition; channel < channels; channel++, i += ofChannel) {
      const x = left[i]!, y = right[i]!;
      squares += (x - y) * (x - y);
      ofOne += x * x;
      ofOther += y * y;
    }
    apart[position] = Math.sqrt(squares);
    lengths += Math.sqrt(ofOne) + Math.sqrt(ofOther);
  }
  const mean = Math.max(lengths / (2 * positions), 1e-12);
  return apart.map((distance) => distance / mean);
}

/** The distance of two vectors in parts of the mean of their lengths; rows of (1, rows, channels). */
function distances(one: Tensor, other: Tensor): number[] {
  const [, rows, channels] = one.dims as [number, number, number];
  return Array.from({ length: rows }, (_, row) => {
    let apart = 0, a = 0, b = 0;
    for (let i = row * channels; i < (row + 1) * channels; i++) {
      const x = one.data[i]!, y = other.data[i]!;
      apart += (x - y) ** 2;
      a += x * x;
      b += y * y;
    }
    return Math.sqrt(apart) / Math.max((Math.sqrt(a) + Math.sqrt(b)) / 2, 1e-12);
  });
}

function tokensApart(one: Tensor, other: Tensor, names: string[][]): HTMLElement {
  if (one.dims[1] !== other.dims[1]) return h("p", { class: "scores" }, STRINGS.otherTokenCount);
  const shown = one.dims[1] === 4 ? names[1]!.slice(1, 5) : names[1]!;
  const list = bars(shown, distances(one, other), true, 2);
  list.classList.add("apart");
  return list;
}

/** The weights of the 32 channels as bars around a middle line. */
function weightBars(weights: Float32Array, most: number, words: string): HTMLElement {
  return h(
    "div", { class: "weight-bars", role: "img", "aria-label": words },
    ...Array.from(weights, (weight, i) => h("span", {
      "data-value": weight, class: weight < 0 ? "negative" : "positive", title: `${STRINGS.channel(i)}: ${number(weight)}`,
      style: `--share: ${Math.abs(weight) / most}`,
    })),
  );
}
