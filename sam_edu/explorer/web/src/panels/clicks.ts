// Two clicks: one is kept, the other is moved; their streams side by side, and a transplant from one into the other.
import type { App } from "../app";
import { fill, h } from "../dom";
import { drawImage } from "../draw";
import { ATTENTIONS, STEPS } from "../generated";
import { enlarge, iou, threshold } from "../masks";
import { isEmpty, promptsOf, tokenNames } from "../state";
import { STRINGS } from "../strings";
import type { Answer, Request, Tensor } from "../types";
import type { Panel } from "./panel";
import { notebookLink, select } from "./shared";

/** The nine stops of a decode: the tokens or the image tokens after each step. */
export const STOPS = [
  ...[0, 1].flatMap((i) => ["queries_1", "queries_2", "queries_3", "keys_4"].map((name) => `transformer.layers.${i}.${name}`)),
  "hs",
];

interface Two {
  key: string;
  kept: Answer;
  transplanted: Answer | null;
}

const results = new WeakMap<App, Two>();

function key(app: App): string {
  return JSON.stringify([app.state.image, promptsOf(app.state), app.state.other, app.state.transplant]);
}

export const clicksPanel: Panel = {
  outputs: () => STOPS,
  async more(app, isLatest) {
    const { other, transplant, image } = app.state;
    if (!other || isEmpty(promptsOf(app.state)) || results.get(app)?.key === key(app)) return;
    const wanted = key(app);
    const base: Request = { image, prompts: other, interventions: [], outputs: ["masks", "iou_pred", ...STOPS] };
    const kept = await app.decode(base);
    let transplanted: Answer | null = null;
    if (transplant && sameTokens(app)) {
      if (!isLatest()) return;
      const from = { image, prompts: other };
      const interventions = ["k", "v"].map((name) => ({ point: `${transplant}.${name}`, how: "transplant" as const, from }));
      transplanted = await app.decode({ ...base, prompts: promptsOf(app.state), interventions, outputs: ["masks", "iou_pred"] });
    }
    results.set(app, { key: wanted, kept, transplanted });
  },
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
    const table = h("div", { class: "stops" });
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
      h("div", { class: "two" }, ...canvases.map(({ figure }) => figure)), choice.element, table, notebookLink(app, "05"),
    );
    return {
      element,
      draw() {
        const { other } = app.state;
        freeze.textContent = other ? STRINGS.release : STRINGS.freeze;
        choice.update();
        choice.element.hidden = !other;
        const two = results.get(app);
        const ready = other && two?.key === key(app) && app.answer && STOPS.every((name) => name in app.answer!.tensors);
        note.textContent = !other ? "" : !sameTokens(app) ? STRINGS.differentTokens : sameClick(app) ? STRINGS.nowElsewhere : "";
        element.dataset.shown = String(Boolean(ready));
        canvases.forEach(({ figure }, i) => (figure.hidden = !ready || (i === 2 && !two?.transplanted)));
        table.hidden = !ready;
        if (!ready) return;
        const masks = [two.kept, app.answer!, two.transplanted].map((answer) => (answer ? maskOf(app, answer) : null));
        masks.forEach((mask, i) => {
          if (!mask) return;
          const { canvas, caption, words } = canvases[i]!;
          caption.textContent = words(app.mask);
          const { width, height } = app.shown.info;
          drawImage(canvas, app.shown.pixels.rgb, width, height, [{ mask, number: app.mask, tint: 0.45 }]);
          canvas.setAttribute("aria-label", words(app.mask));
        });
        if (masks[2]) {
          const { scores, figure } = canvases[2]!;
          const [own, theirs] = [iou(masks[2], masks[1]!), iou(masks[2], masks[0]!)];
          scores.textContent = STRINGS.transplanted(own, theirs);
          figure.dataset.own = String(own);
          figure.dataset.other = String(theirs);
        }
        fill(table, stops(app, two.kept));
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

function maskOf(app: App, answer: Answer): Uint8Array {
  const side = 4 * app.catalogue.grid, size = side * side, number = app.mask;
  const { width, height } = app.shown.info;
  const logits = answer.tensors.masks!.data.subarray(number * size, (number + 1) * size);
  return threshold(enlarge(logits, side, app.catalogue.frame, width, height));
}

/** The size of the difference of two tensors as a share of the size of the first. */
export function difference(a: Tensor, b: Tensor): number | null {
  if (a.data.length !== b.data.length) return null;
  let apart = 0, size = 0;
  for (let i = 0; i < a.data.length; i++) {
    apart += (a.data[i]! - b.data[i]!) ** 2;
    size += a.data[i]! ** 2;
  }
  return Math.sqrt(apart / size);
}

function stops(app: App, kept: Answer): HTMLElement {
  return h(
    "table", {},
    h("caption", {}, STRINGS.stops),
    h("tbody", {}, ...STOPS.map((name) => {
      const value = difference(app.answer!.tensors[name]!, kept.tensors[name]!);
      const words = value === null ? "–" : value === 0 ? STRINGS.equal : `${(100 * value).toFixed(1)} %`;
      return h(
        "tr", { "data-stop": name },
        h("th", { scope: "row" }, `${STEPS[name.replace(/layers\.\d/, "layers.{i}")]!} `, h("code", {}, name)),
        h("td", {}, name.endsWith("keys_4") ? STRINGS.ofImage : STRINGS.ofTokens),
        h("td", { "data-value": value ?? "" }, h("span", { class: "share-bar", style: `--share: ${Math.min(1, value ?? 0)}` }), words),
      );
    })),
  );
}
