// Mixing desk: the 32 channels, their weights for the chosen mask, and the sum that is the mask.
import type { App } from "../app";
import { fill, h, tensorTitle } from "../dom";
import { drawImage, drawMap, scaleBar } from "../draw";
import { CHANNELS, EFFECTS, NOTEBOOKS, STEPS } from "../generated";
import { enlarge, iou, threshold } from "../masks";
import { isEmpty, promptsOf } from "../state";
import { fixed, STRINGS } from "../strings";
import { HELD_OUT_WORDS } from "../app";
import type { Tensor } from "../types";
import type { Panel } from "./panel";
import { bars, notebookLink, onPosition } from "./shared";

const VALUES = "output_upscaling.activated_twice";

interface Desk {
  /** As computed by the hypernetwork, and with those that were moved. */
  computed: Float32Array;
  moved: Float32Array;
  values: Float32Array;
  pixels: number;
  side: number;
  /** Channels, the one with the largest contribution first, and the contributions. */
  order: number[];
  contribution: Float32Array;
}

/** The mean size of each channel, by the tensor. */
const sizes = new WeakMap<Tensor, Float32Array>();

function meanSizes(values: Float32Array, pixels: number): Float32Array {
  const means = new Float32Array(CHANNELS);
  for (let c = 0, i = 0; c < CHANNELS; c++) {
    let sum = 0;
    for (const end = i + pixels; i < end; i++) sum += Math.abs(values[i]!);
    means[c] = sum / pixels;
  }
  return means;
}

function desk(app: App): Desk | null {
  const weights = app.answer?.tensors.hyper_in, channels = app.answer?.tensors[VALUES];
  if (!weights || !channels) return null;
  const side = channels.dims[2]!, pixels = side * side;
  const computed = weights.data.slice(app.mask * CHANNELS, (app.mask + 1) * CHANNELS);
  const moved = computed.slice();
  for (const [channel, weight] of Object.entries(app.state.weights)) moved[Number(channel)] = weight;
  const means = sizes.get(channels) ?? meanSizes(channels.data, pixels);
  sizes.set(channels, means);
  const contribution = means.map((mean, c) => Math.abs(moved[c]!) * mean);
  const order = Array.from(contribution.keys()).sort((a, b) => contribution[b]! - contribution[a]!);
  return { computed, moved, values: channels.data, pixels, side, order, contribution };
}

function product({ values, pixels, order, moved }: Desk, count: number): Float32Array {
  const sum = new Float32Array(pixels);
  for (const c of order.slice(0, count)) {
    const weight = moved[c]!;
    if (weight === 0) continue;
    for (let i = 0, j = c * pixels; i < pixels; i++, j++) sum[i]! += weight * values[j]!;
  }
  return sum;
}

/** How few channels, the one with the largest contribution first, give a mask of this IoU with that of all; 0 if none is
 * known. */
export function fewestChannels(app: App, enough: number): number {
  const now = desk(app);
  if (!now) return 0;
  const whole = threshold(product(now, CHANNELS)), sum = new Float32Array(now.pixels);
  for (const [i, c] of now.order.entries()) {
    for (let at = 0, j = c * now.pixels; at < now.pixels; at++, j++) sum[at]! += now.moved[c]! * now.values[j]!;
    if (iou(threshold(sum), whole) >= enough) return i + 1;
  }
  return CHANNELS;
}

export const channelsPanel: Panel = {
  outputs: () => ["hyper_in", VALUES],
  view(app) {
    const title = h("div"), list = h("div", { class: "channels" });
    const canvas = h("canvas", { class: "map", role: "img" });
    const changed = h("p", { class: "changed" });
    const slider = h("input", {
      type: "range", min: "1", max: String(CHANNELS), name: "channels",
      oninput: () => app.set({ channels: Number(slider.value) }),
    });
    const sliderWords = h("span");
    const readOut = h("div", { class: "read-out" }, STRINGS.hoverTerms);
    const reset = h("button", {
      type: "button", "data-act": "reset-weights", onclick: () => app.set({ weights: {}, channels: CHANNELS }),
    }, STRINGS.moved);
    const empty = h("p", { class: "empty" }, STRINGS.noPrompt);
    const all = h("button", {
      type: "button", "data-act": "all-channels", "aria-expanded": "false",
      onclick: () => {
        const open = list.toggleAttribute("data-all");
        all.setAttribute("aria-expanded", String(open));
        all.textContent = open ? STRINGS.showFew : STRINGS.showAll;
      },
    }, STRINGS.showAll);
    const controls = h("div", {}, h("label", {}, sliderWords, slider), reset, changed, readOut);
    const whole = h("div", { class: "desk" }, h("figure", {}, canvas), controls);
    const element = h(
      "div", {}, h("p", {}, STRINGS.channelsLead), title,
      empty, whole,
      h("p", { class: "caution" }, STRINGS.contributionIs, app.catalogue.held_out ? ` ${STRINGS.mutedEffect} ${HELD_OUT_WORDS}.` : ""), list, all, notebookLink(app, NOTEBOOKS.hyper_in!),
    );
    const rows = Array.from({ length: CHANNELS }, (_, channel) => row(app, channel));
    onPosition(canvas, () => app.shown.info, (x, y) => {
      const now = desk(app);
      if (!now) return;
      const { width, height } = app.shown.info;
      const { frame } = app.catalogue;
      const scale = now.side / frame;
      const ratio = frame / Math.max(width, height);
      const at = Math.floor((y + 0.5) * ratio * scale) * now.side + Math.floor((x + 0.5) * ratio * scale);
      const terms = now.order.map((c) => now.moved[c]! * now.values[c * now.pixels + at]!);
      const sum = terms.reduce((a, b) => a + b, 0);
      fill(readOut, STRINGS.termsAt(x, y, sum), bars(now.order.map((c) => STRINGS.channel(c)), terms, true));
    });
    return {
      element,
      draw() {
        const now = desk(app);
        element.dataset.shown = String(Boolean(now));
        for (const one of [title, whole, list, all]) one.hidden = !now;
        empty.hidden = Boolean(now) || !isEmpty(promptsOf(app.state));
        if (!now || !app.answer) return;
        app.movedWeights = Object.keys(app.state.weights).length ? [...now.moved] : null;
        fill(title, tensorTitle(`${STRINGS.maskName(app.mask)}:`, VALUES, app.answer.tensors[VALUES]!.dims, STEPS[VALUES]!), tensorTitle("", "hyper_in", app.answer.tensors.hyper_in!.dims, STEPS.hyper_in!));
        const count = app.state.channels;
        slider.value = String(count);
        sliderWords.textContent = STRINGS.channelsSum(count);
        const { width, height } = app.shown.info;
        const large = (logits: Float32Array) => threshold(enlarge(logits, now.side, app.catalogue.frame, width, height));
        const mask = large(product(now, count));
        drawImage(canvas, app.shown.pixels.rgb, width, height, [{ mask, number: app.mask, dims: true }]);
        canvas.setAttribute("aria-label", STRINGS.channelsSum(count));
        const isWhole = count === CHANNELS && Object.keys(app.state.weights).length === 0;
        const same = isWhole ? 1 : iou(mask, large(product({ ...now, moved: now.computed }, CHANNELS)));
        changed.textContent = STRINGS.changed(same);
        changed.dataset.value = String(same);
        const most = Math.max(...now.contribution, 1e-9);
        now.order.forEach((channel) => {
          rows[channel]!.draw(now, most);
        });
        const wanted = now.order.map((channel) => rows[channel]!.element);
        // Moving a row takes the focus from its slider: only where the order has changed.
        const focused = list.contains(document.activeElement);
        if (!focused && wanted.some((element_, i) => list.children[i] !== element_)) fill(list, ...wanted);
      },
    };
  },
};

/** One channel: its map, its weight as a slider, its mute, its held-out effect. */
function row(app: App, channel: number): { element: HTMLElement; draw(now: Desk, most: number): void } {
  const canvas = h("canvas", { class: "map", role: "img", "aria-label": STRINGS.channel(channel) });
  const share = h("span", { class: "share-bar", title: STRINGS.contributionIs });
  const value = h("output");
  const slider = h("input", {
    type: "range", step: "any", "aria-label": `${STRINGS.weight}, ${STRINGS.channel(channel)}`,
    oninput: () => move(Number(slider.value)),
  });
  const mute = h("button", {
    type: "button", "aria-label": STRINGS.muted(channel),
    onclick: () => (mute.getAttribute("aria-pressed") === "true" ? restore() : move(0)),
  }, STRINGS.mute);
  const bar = h("div");
  const [mean, low, high] = EFFECTS[`channel ${channel} zero`]!;
  const effect = h("small", { class: "effect", title: `${STRINGS.switchesEffect}, ${HELD_OUT_WORDS}` }, `${STRINGS.average} ${STRINGS.interval(mean, low, high)}`);
  const element = h(
    "div", { class: "channel", "data-channel": channel }, canvas, bar,
    h("strong", {}, STRINGS.channel(channel)), share, h("div", { class: "weight" }, slider, value), mute, app.catalogue.held_out ? effect : null,
  );
  function move(weight: number): void {
    app.set({ weights: { ...app.state.weights, [channel]: weight } });
  }
  function restore(): void {
    const { [channel]: _, ...rest } = app.state.weights;
    app.set({ weights: rest });
  }
  let shown: Float32Array | null = null;
  return {
    element,
    draw(now, most) {
      if (shown !== now.values) drawChannel(now);
      shown = now.values;
      const weight = now.moved[channel]!;
      const range = Math.max(1, 2 * Math.max(...now.computed.map(Math.abs)));
      slider.min = String(-range);
      slider.max = String(range);
      slider.value = String(weight);
      value.textContent = `${STRINGS.weight} ${fixed(weight, 2)}`;
      element.dataset.weight = String(weight);
      mute.setAttribute("aria-pressed", String(weight === 0));
      share.style.setProperty("--share", String(now.contribution[channel]! / most));
    },
  };

  function drawChannel(now: Desk): void {
    const map = now.values.subarray(channel * now.pixels, (channel + 1) * now.pixels);
    let size = 0;
    for (let i = 0; i < map.length; i++) {
      const x = map[i]!;
      if (x > size) size = x;
      else if (-x > size) size = -x;
    }
    const { width, height } = app.shown.info;
    const ratio = now.side / Math.max(width, height);
    const scale = { low: -size, high: size, signed: true };
    const [w, h_] = [width, height].map((side) => Math.max(1, Math.round(side * ratio))) as [number, number];
    drawMap(canvas, map, w, h_, now.side, scale);
    if (bar.dataset.high !== String(size)) {
      bar.dataset.high = String(size);
      fill(bar, scaleBar(scale));
    }
  }
}
