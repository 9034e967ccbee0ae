// The guided tour: ten stops that retell notebook 00. Each asks first, then shows.
import type { App } from "./app";
import { fill, h } from "./dom";
import { ATTENTIONS } from "./generated";
import { notebookLink } from "./panels/shared";
import type { State } from "./state";
import { STRINGS } from "./strings";

interface Stop {
  title: string;
  question: string;
  answer: string;
  notebook: string;
  /** What the stop sets when it is shown. */
  state(app: App): Partial<State>;
}

const attention = (index: number, token: number): State["attention"] => ({ of: ATTENTIONS[index]!.path, token, scale: "shared" });

const example = (): Pick<State, "image" | "points" | "box" | "off" | "weights" | "channels" | "other" | "transplant" | "mask"> => ({
  image: "example", points: [], box: null, off: [], weights: {}, channels: 32, other: null, transplant: "", mask: null,
});

const onExample = (app: App) => ({ ...example(), points: [app.catalogue.images[0]!.click] });

export const STOPS: Stop[] = [
  {
    title: "One click, several answers",
    question: "One click on the middle of a flower. What may it mean: its innermost disc, its middle, the whole flower? How many masks should a model return?",
    answer: "Masks 1 to 3 are three answers to the same click, each with a predicted IoU. Choose each of them below the image.",
    notebook: "00",
    state: (app) => ({ ...onExample(app), panel: "masks", mask: 3 }),
  },
  {
    title: "The logits behind a mask",
    question: "A mask is yes or no at each pixel. What does the decoder compute there before it decides?",
    answer: "A logit: a number of any sign. Where it is above 0 the pixel belongs to the mask. Point at the map and read it.",
    notebook: "07",
    state: (app) => ({ ...onExample(app), panel: "masks", mask: 1 }),
  },
  {
    title: "A second point",
    question: "A negative point says: not this. Will the predicted IoU of mask 0 rise or fall?",
    answer: "See mask 0: it is the mask for several prompts. Take the point away with Undo, and compare.",
    notebook: "03",
    state: (app) => ({ ...onExample(app), points: [app.catalogue.images[0]!.click, app.catalogue.second], panel: "masks", mask: 0 }),
  },
  {
    title: "Seven tokens",
    question: "The click has become a token, one of seven. Which tokens can it exchange something with in the first step?",
    answer: "In step (1) every token attends to every token. A row of a matrix is one token; its weights sum to 1.",
    notebook: "02",
    state: (app) => ({ ...onExample(app), panel: "attention", attention: attention(0, 5) }),
  },
  {
    title: "Tokens look at the image",
    question: "Step (2): where will the click's token look? At the clicked position alone, at the whole object, or somewhere else?",
    answer: "Read the eight maps one by one, then choose another token and compare. What heads do over many clicks is measured in the notebook.",
    notebook: "02",
    state: (app) => ({ ...onExample(app), panel: "attention", attention: attention(1, 5) }),
  },
  {
    title: "The image attends, too",
    question: "Step (4) turns it round: each position of the image attends to the tokens. To which token does the object attend most?",
    answer: "Point at a map: the bars show what that position attends to.",
    notebook: "04",
    state: (app) => ({ ...onExample(app), panel: "attention", attention: attention(2, 5) }),
  },
  {
    title: "32 channels make a mask",
    question: "Each mask is a weighted sum of the same 32 channels. How many of them does it take until the mask is there?",
    answer: "Move the slider back to 32, one by one, and watch the IoU with the whole sum.",
    notebook: "07",
    state: (app) => ({ ...onExample(app), panel: "channels", mask: 3, channels: 4 }),
  },
  {
    title: "Ablate a step",
    question: "Without the step by which tokens look at the image in block 0: will the mask be lost?",
    answer: "Compare the three replacements, then read the effect over the held-out clicks: one click is an example.",
    notebook: "02",
    state: (app) => ({ ...onExample(app), panel: "switches", mask: 3, off: ["transformer.layers.0.cross_attn_token_to_image"] }),
  },
  {
    title: "Two clicks",
    question: "Two clicks on the same image. After which step do the image tokens differ for the first time?",
    answer: "The tokens differ from the start, as the click is one of them. The image tokens differ first after step (4) of block 0, the first step that writes to them.",
    notebook: "05",
    state: (app) => {
      const click = app.catalogue.images[0]!.click;
      const [x, y] = app.catalogue.second;
      return { ...onExample(app), panel: "clicks", points: [[x, y, 1]], other: { points: [click], box: null } };
    },
  },
  {
    title: "Your turn",
    question: "Will it work on a photograph of yours, although this model has seen drawings alone?",
    answer: "Try it. The image stays in this page.",
    notebook: "09",
    state: (app) => ({ ...onExample(app), panel: "own" }),
  },
];

const PANEL_ID = "panel";

let revealed = 0;

/** Whether a stop has asked and not yet shown: what answers it is hidden. */
export function isPredicting(state: State): boolean {
  return state.stop > 0 && state.stop < STOPS.length && revealed !== state.stop;
}

/** Draw the strip of the stop that the state names. */
export function tourStrip(root: HTMLElement, app: App): void {
  const number = Math.min(app.state.stop, STOPS.length);
  const stop = STOPS[number - 1]!;
  const go = (to: number) => {
    revealed = 0;
    app.set(to >= 1 && to <= STOPS.length ? { stop: to } : { stop: 0 });
  };
  const open = revealed === number;
  const shownKey = `${number} ${open}`;
  if (root.dataset.stop === shownKey) return;
  root.dataset.stop = shownKey;
  const button = (words: string, act: () => void, name: string, disabled = false) =>
    h("button", { type: "button", "data-act": name, disabled, onclick: () => act() }, words);
  fill(
    root,
    h("small", {}, STRINGS.stopOf(number, STOPS.length)),
    h("h2", {}, stop.title),
    h("p", {}, h("strong", {}, `${STRINGS.predictFirst}: `), stop.question),
    open
      ? h("p", { class: "answer" }, stop.answer)
      : button(STRINGS.reveal, () => {
          revealed = number;
          app.set(stop.state(app));
          // On a phone the panel is far below.
          const panel = document.querySelector(`#${PANEL_ID}`);
          if (panel && panel.getBoundingClientRect().top > innerHeight) panel.scrollIntoView();
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

