// The map of the decoder: every step in its order; a step opens the panel that shows it.
import type { App } from "./app";
import { fill, h } from "./dom";
import { ATTENTIONS, PARTS } from "./generated";
import type { Panel, State } from "./state";
import { STRINGS } from "./strings";

interface Place {
  words: string;
  /** What it does, in a word or two. */
  short: string;
  title: string;
  /** The step's path, where it can be ablated. */
  step: string | null;
  opens(state: State): Partial<State>;
  isOpen(state: State): boolean;
}

const places: { group: string; places: Place[] }[] = [
  ...[0, 1].map((block) => ({
    group: STRINGS.block(block),
    places: PARTS.filter((part) => part.block === block && part.head === null).map((part) => placeOf(part.step, part.number)),
  })),
  { group: "", places: [placeOf("transformer.final_attn_token_to_image", "(6-1)")] },
  {
    group: STRINGS.product,
    places: [
      panelPlace("(5)", STRINGS.mapWords.upscaling!, "channels"),
      panelPlace("(6-2)", STRINGS.mapWords.weights!, "channels"),
      panelPlace("(6-3)", STRINGS.mapWords.masks!, "masks"),
    ],
  },
];

function placeOf(step: string, number: string): Place {
  const attention = ATTENTIONS.some(({ path }) => path === step);
  return {
    words: number,
    short: STRINGS.stepShort[step.split(".").at(-1)!]!,
    title: STRINGS.stepKind[step.split(".").at(-1)!]!,
    step,
    opens: (state) => (attention ? { panel: "attention", attention: { ...state.attention, of: step } } : { panel: "switches" }),
    isOpen: (state) => attention && state.panel === "attention" && state.attention.of === step,
  };
}

function panelPlace(words: string, title: string, panel: Panel): Place {
  return { words, short: STRINGS.mapShort[words]!, title, step: null, opens: () => ({ panel }), isOpen: (state) => state.panel === panel };
}

/** The map as an element, and how to draw it anew. */
export function decoderMap(app: App): { element: HTMLElement; draw(): void } {
  const element = h("nav", { class: "decoder-map", "aria-label": STRINGS.map });
  const all: { place: Place; button: HTMLElement }[] = [];
  const arrow = () => h("span", { class: "arrow", "aria-hidden": "true" }, "→");
  fill(
    element,
    h("span", { class: "end" }, STRINGS.mapStart),
    ...places.flatMap(({ group, places: inside }) => [
      arrow(),
      h(
        "span", { class: "group" }, group ? h("small", {}, group) : null,
        ...inside.map((place) => {
          const button = h("button", {
            type: "button", title: place.title, "aria-label": `${group} ${place.words}: ${place.title}`.trim(),
            onclick: () => app.set(place.opens(app.state)),
          }, place.words, h("small", {}, place.short));
          all.push({ place, button });
          return button;
        }),
      ),
    ]),
    arrow(),
    h("span", { class: "end" }, STRINGS.mapEnd),
  );
  return {
    element,
    draw() {
      for (const { place, button } of all) {
        button.setAttribute("aria-pressed", String(place.isOpen(app.state)));
        const off = place.step !== null && app.state.off.some((name) => name === place.step || name.startsWith(`${place.step} `));
        button.dataset.off = String(off);
      }
    },
  };
}
