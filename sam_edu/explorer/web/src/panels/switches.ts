// Switchboard: every step and head as a switch; zero, mean and resample side by side; the stored effect beside.
import { HELD_OUT_WORDS, partName, type App } from "../app";
import { h, refill } from "../dom";
import { drawChange } from "../draw";
import { EFFECTS, PARTS } from "../generated";
import { iou } from "../masks";
import { ablation, BY_NAME, interventions, MODES, type Mode } from "../parts";
import { promptsOf, type State } from "../state";
import { STRINGS } from "../strings";
import type { Provenance } from "../types";
import type { Panel } from "./panel";
import { maskOf, notebookLink } from "./shared";

interface Result {
  key: string;
  provenance: Provenance;
  milliseconds: number;
  predicted: ArrayLike<number>;
  /** A mask in the image's own pixels, by its number. */
  mask(number: number): Uint8Array;
}

const SOON = 250; // milliseconds

const results = new WeakMap<App, Map<Mode, Result>>();
/** What was begun last, by mode. */
const begun = new WeakMap<App, Map<Mode, { key: string; result: Promise<Result> }>>();

function key(app: App, mode: Mode): string {
  return JSON.stringify([app.imageKey, promptsOf(app.state), app.state.off, mode]);
}

function possible(app: App, mode: Mode): boolean {
  return mode === "zero" || (app.state.points.length === 1 && app.state.box === null && app.catalogue.held_out);
}

/** What a mode makes of the decode of this state: stored with the page, or computed. */
async function resultOf(app: App, state: State, mode: Mode): Promise<Omit<Result, "key">> {
  const { off, image } = state, prompts = promptsOf(state);
  const request = { image, prompts, interventions: interventions(off, mode, app.otherClick), outputs: ["masks", "iou_pred"] };
  const found = off.length === 1 ? await app.backend.ablated?.(image, prompts, off[0]!, mode) : null;
  if (found) return { provenance: "stored", milliseconds: 0, predicted: found.predicted, mask: (number) => found.masks[number]! };
  const { tensors, provenance, milliseconds } = await app.decode(request);
  return { provenance, milliseconds, predicted: tensors.iou_pred!.data, mask: (number) => maskOf(app, tensors, number) };
}

/** What a mode makes of the decode; begun now, unless it was before. */
function begin(app: App, mode: Mode): Promise<Result> {
  const all = begun.get(app) ?? new Map<Mode, { key: string; result: Promise<Result> }>(), wanted = key(app, mode);
  begun.set(app, all);
  const before = all.get(mode);
  if (before?.key === wanted) return before.result;
  const result = resultOf(app, app.state, mode).then((found) => ({ key: wanted, ...found }));
  all.set(mode, { key: wanted, result });
  result.catch(() => all.delete(mode));
  return result;
}

/** The modes whose results are not there, the one that is shown elsewhere first. */
function missing(app: App): Mode[] {
  if (!app.state.off.length) return [];
  return [app.state.mode, ...MODES.filter((one) => one !== app.state.mode)].filter((mode) => {
    return possible(app, mode) && results.get(app)?.get(mode)?.key !== key(app, mode);
  });
}

export const switchesPanel: Panel = {
  outputs: () => [],
  ahead(app) {
    if (!app.state.off.length || !app.backend.canDecodeTwo?.()) return;
    for (const mode of missing(app)) void begin(app, mode).catch(() => {}); // who waits for it hears of it
  },
  async more(app, isLatest) {
    const found = results.get(app) ?? new Map<Mode, Result>();
    results.set(app, found);
    const modes = missing(app);
    let drawing: number | undefined;
    const draw = (): void => {
      drawing = undefined;
      app.redraw(true);
    };
    const takeNext = async (): Promise<void> => {
      while (modes.length && isLatest()) {
        const mode = modes.shift()!;
        found.set(mode, await begin(app, mode));
        // To draw takes the processor from the workers, so what comes soon after is drawn with it.
        drawing ??= window.setTimeout(draw, SOON);
      }
    };
    try {
      await Promise.all(app.backend.canDecodeTwo?.() ? [takeNext(), takeNext()] : [takeNext()]);
    } catch (error) {
      draw(); // what the other modes gave
      throw error;
    } finally {
      window.clearTimeout(drawing);
      drawing = undefined;
    }
  },
  leave: (app) => app.backend.decodeOne?.(),
  view(app) {
    const map = h("div", { class: "switches" });
    const columns = h("div", { class: "modes" });
    const legend = h("p", { class: "legend" }, STRINGS.legend), caution = h("p", { class: "caution" }, STRINGS.oneClick);
    const stored = h("div", { class: "stored" });
    const element = h(
      "div", {}, h("p", {}, STRINGS.switchesLead), columns, legend, map,
      h("div", { class: "actions" }, h("button", { type: "button", "data-act": "all-on", onclick: () => app.set({ off: [] }) }, STRINGS.allOn)),
      caution, stored, notebookLink(app, "02"),
    );
    const buttons = PARTS.map((part) => {
      const button = h("button", {
        type: "button", "data-part": part.name, "aria-label": STRINGS.off(partName(part.name)),
        onclick: () => toggle(app, part.name),
      }, part.head === null ? `${STRINGS.step(part.number, part.block)}` : String(part.head));
      return { part, button };
    });
    for (const { part, button } of buttons) {
      if (part.head === null) {
        map.append(
          h("div", { class: "step", "data-step": part.step }, button, h("span", {}, STRINGS.stepKind[part.step.split(".").at(-1)!]!),
            h("div", { class: "head-switches", role: "group", "aria-label": STRINGS.heads })),
        );
      } else {
        map.lastElementChild!.lastElementChild!.append(button);
      }
    }
    const cells = MODES.map((mode) => {
      const canvas = h("canvas", { class: "map", role: "img" });
      const words = h("p");
      const scores = h("p", { class: "scores" });
      const choose = h("button", { type: "button", "data-mode": mode, onclick: () => app.set({ mode }) }, STRINGS.mode[mode]!);
      columns.append(h("figure", { "data-mode": mode }, choose, canvas, words, scores));
      return { mode, canvas, words, scores, choose, drawn: [] as unknown[] };
    });
    return {
      element,
      draw() {
        const { off } = app.state;
        for (const { part, button } of buttons) button.setAttribute("aria-pressed", String(off.includes(part.name)));
        refill(stored, ...(app.catalogue.held_out ? effects(off) : [])); // those of the tiny model
        legend.hidden = off.length === 0;
        caution.hidden = off.length !== 1 || !app.catalogue.held_out;
        for (const cell of cells) {
          const { mode, canvas, words, scores, choose, drawn } = cell;
          cell.drawn = [];
          choose.setAttribute("aria-pressed", String(app.state.mode === mode));
          const result = results.get(app)?.get(mode);
          const before = app.masks[app.mask];
          if (!possible(app, mode)) {
            words.textContent = STRINGS.singleClick;
            canvas.hidden = true;
            scores.textContent = "";
            continue;
          }
          canvas.hidden = off.length === 0;
          if (off.length === 0) {
            words.textContent = STRINGS.nothingOff;
            scores.textContent = "";
            continue;
          }
          if (!result || result.key !== key(app, mode) || !before) {
            words.textContent = STRINGS.computing;
            delete canvas.dataset.lost;
            continue;
          }
          const shows = [result, before, app.mask];
          cell.drawn = shows;
          if (shows.every((one, i) => one === drawn[i])) continue;
          const { width, height } = app.shown.info;
          const after = result.mask(app.mask);
          const { lost, gained } = drawChange(canvas, app.shown.pixels.rgb, before, after, width, height);
          canvas.dataset.lost = String(lost);
          canvas.dataset.gained = String(gained);
          canvas.setAttribute("aria-label", `${STRINGS.mode[mode]}: ${STRINGS.lostGained(lost, gained)}`);
          const few = lost + gained > 0 && lost + gained < 0.001 * width * height;
          words.textContent = STRINGS.lostGained(lost, gained) + (few ? ` (${STRINGS.tooFewToSee})` : "");
          const predicted = result.predicted[app.mask]!;
          const truth = app.trueIou(after);
          scores.textContent =
            `${STRINGS.predicted} ${predicted.toFixed(3)}` +
            (truth === null ? "" : `, ${STRINGS.truth} ${truth.toFixed(3)}`) +
            `, IoU ${STRINGS.unchanged} ${iou(before, after).toFixed(3)}`;
          scores.dataset.predicted = String(predicted);
          scores.append(h("small", { class: "provenance" }, ` ${result.provenance === "stored" ? STRINGS.storedHere : STRINGS.computedNow(result.milliseconds)}`));
          canvas.dataset.provenance = result.provenance;
        }
      },
    };
  },
};

function toggle(app: App, name: string): void {
  const part = BY_NAME.get(name)!;
  const { off } = app.state;
  if (off.includes(name)) return app.set({ off: off.filter((one) => one !== name) });
  // A step that is off has all its heads off.
  const others = off.filter((one) => {
    const other = BY_NAME.get(one)!;
    return other.step !== part.step || (part.head !== null && other.head !== null);
  });
  app.set({ off: [...others, name] });
}

function effects(off: string[]): HTMLElement[] {
  if (off.length === 0) return [];
  if (off.length > 1) return [h("p", {}, STRINGS.severalOff)];
  const part = BY_NAME.get(off[0]!)!;
  return [
    h(
      "table", {},
      h("caption", {}, `${STRINGS.switchesEffect}, ${HELD_OUT_WORDS}: ${partName(part.name)}`),
      h("tbody", {}, ...MODES.map((mode) => {
        const name = ablation(part, mode);
        const [mean, low, high] = EFFECTS[name]!;
        return h(
          "tr", { "data-ablation": name },
          h("th", { scope: "row" }, STRINGS.mode[mode]!), h("td", { "data-mean": mean }, STRINGS.interval(mean, low, high)),
        );
      })),
    ),
  ];
}
