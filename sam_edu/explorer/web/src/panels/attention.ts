// Who looks where: the eight heads of one attention, for one token.
import type { App } from "../app";
import { fill, h, tensorTitle } from "../dom";
import { drawEdge, drawMap, quantile, scaleBar } from "../draw";
import { ATTENTIONS, HEADS, NOTEBOOKS, type Attention } from "../generated";
import { isEmpty, promptsOf, tokenNames } from "../state";
import { STRINGS } from "../strings";
import type { Tensor } from "../types";
import type { Panel } from "./panel";
import { bars, gridSize, notebookLink, onPosition, select } from "./shared";

function chosen(app: App): Attention {
  return ATTENTIONS.find(({ path }) => path === app.state.attention.of)!;
}

function kind({ queries, keys }: Attention): string {
  return queries === "image" ? STRINGS.kinds.image : keys === "image" ? STRINGS.kinds.tokens : STRINGS.kinds.self;
}

/** One head's map over the grid for a token: a row of its weights, or a column where the image attends. */
function mapOf(weights: Tensor, attention: Attention, head: number, token: number): Float32Array {
  const [, , queries, keys] = weights.dims as [number, number, number, number];
  const start = head * queries * keys;
  if (attention.queries === "tokens") return weights.data.subarray(start + token * keys, start + (token + 1) * keys);
  return Float32Array.from({ length: queries }, (_, query) => weights.data[start + query * keys + token]!);
}

export const attentionPanel: Panel = {
  outputs: (state) => [`${state.attention.of}.weights`],
  view(app) {
    const setAttention = (change: Partial<App["state"]["attention"]>) => {
      app.set({ attention: { ...app.state.attention, ...change } });
    };
    const which = select(
      STRINGS.attentionOf, "attention",
      ATTENTIONS.map((one) => [one.path, STRINGS.attentionOption(one.step, one.block, kind(one))]),
      () => app.state.attention.of, (of) => setAttention({ of }),
    );
    const token = select(STRINGS.token, "token", [], () => String(app.state.attention.token), (value) => setAttention({ token: Number(value) }));
    const scale = select(
      STRINGS.scale, "scale", [["shared", STRINGS.scaleShared], ["per head", STRINGS.scaleHead]],
      () => app.state.attention.scale, (value) => setAttention({ scale: value as "shared" | "per head" }),
    );
    const title = h("div"), lead = h("p"), bar = h("div"), link = h("div");
    const heads = Array.from({ length: HEADS }, (_, head) => {
      const canvas = h("canvas", { class: "map", role: "img", "data-head": head });
      const over = h("canvas", { class: "over", "aria-hidden": "true" });
      const axis = (kind: string) => h("div", { class: kind, "aria-hidden": "true" });
      const [rows, columns] = [axis("rows"), axis("columns")];
      const caption = h("figcaption", {}, STRINGS.head(head));
      const figure = h("figure", {}, rows, h("div", { class: "under" }, canvas, over), columns, caption);
      return { canvas, over, rows, columns, bar: h("div"), figure };
    });
    const readOut = h("div", { class: "read-out" }), tokens = h("div"), pair = h("div");
    const empty = h("p", { class: "empty" }, STRINGS.noPrompt);
    const maps = h("div", { class: "heads" });
    const element = h(
      "div", {}, h("div", { class: "choices" }, which.element, token.element, scale.element), lead, title,
      empty, tokens, maps, bar, readOut, pair, h("p", { class: "caution" }, STRINGS.tokensAre), link,
    );
    maps.append(...heads.map(({ figure }) => figure));
    let shownFor = "";
    heads.forEach(({ canvas, figure, bar: own }) => {
      figure.append(own);
      onPosition(figure.querySelector<HTMLElement>(".under")!, () => ({ width: canvas.width, height: canvas.height }), (x, y) => hover(x, y));
    });

    function hover(x: number, y: number): void {
      const attention = chosen(app), weights = app.answer?.tensors[attention.tensor];
      if (!weights) return;
      const { grid, frame } = app.catalogue;
      const [, , queries, keys] = weights.dims as [number, number, number, number];
      if (attention.queries === "tokens" && attention.keys === "tokens") {
        const names = tokenNames(promptsOf(app.state));
        const values = heads.map((_, head) => weights.data[(head * queries + y) * keys + x]!);
        fill(pair, STRINGS.pair(names[y]!, names[x]!), bars(values.map((_, head) => STRINGS.head(head)), values, false));
        return;
      }
      const position = y * grid + x, pixel = frame / grid;
      const [px, py] = [Math.round((x + 0.5) * pixel), Math.round((y + 0.5) * pixel)];
      if (attention.queries === "image") {
        const names = tokenNames(promptsOf(app.state));
        const mean = names.map((_, key) => {
          let sum = 0;
          for (let head = 0; head < HEADS; head++) sum += weights.data[(head * queries + position) * keys + key]!;
          return sum / HEADS;
        });
        fill(readOut, STRINGS.listens(px, py), bars(names, mean, false));
      } else {
        const values = heads.map((_, head) => weights.data[(head * queries + app.state.attention.token) * keys + position]!);
        fill(readOut, STRINGS.weightsAt(px, py), bars(values.map((_, head) => STRINGS.head(head)), values, false));
      }
    }

    return {
      element,
      draw() {
        const attention = chosen(app);
        const names = tokenNames(promptsOf(app.state));
        which.update();
        token.update(names.map((name, i) => [String(i), name]));
        scale.update();
        const self = attention.queries === "tokens" && attention.keys === "tokens";
        token.element.hidden = self;
        lead.textContent = self
          ? STRINGS.attentionSelfLead
          : attention.queries === "image" ? STRINGS.attentionImageLead : STRINGS.attentionLead;
        fill(link, notebookLink(app, NOTEBOOKS[attention.tensor.replace(/layers\.\d/, "layers.{i}")]!));
        const weights = app.answer?.tensors[attention.tensor];
        element.dataset.shown = String(Boolean(weights));
        empty.hidden = Boolean(weights) || !isEmpty(promptsOf(app.state));
        for (const one of [maps, title, bar, readOut, tokens]) one.hidden = !weights;
        if (!weights) return;
        const who = self ? "" : `, ${names[app.state.attention.token]}`;
        fill(title, tensorTitle(`${kind(attention)}${who}:`, attention.tensor, weights.dims, attention.step));
        const grid = app.catalogue.grid;
        const { width, height } = self ? { width: names.length, height: names.length } : gridSize(app);
        const shown = heads.map((_, head) => {
          const size = names.length ** 2;
          return self ? weights.data.subarray(head * size, (head + 1) * size) : mapOf(weights, attention, head, app.state.attention.token);
        });
        const most = shown.map((map) => map.reduce((a, b) => Math.max(a, b), 0));
        // A few peaks would leave most maps of the image dark.
        const open = !self && attention.keys === "image";
        const shared = open ? quantile(shown, 0.998) : Math.max(...most);
        const perHead = app.state.attention.scale === "per head";
        const numbers = () => (self ? names.map((_, i) => h("span", {}, String(i))) : []);
        const edge = heads[0]!.over;
        if (!self) drawEdge(edge, app.masks[app.mask]!, app.shown.info.width, app.shown.info.height, app.state.points);
        heads.forEach(({ canvas, over, rows, columns, bar: own }, head) => {
          over.hidden = self;
          if (!self && head) {
            [over.width, over.height] = [edge.width, edge.height];
            over.getContext("2d")!.drawImage(edge, 0, 0);
          }
          fill(rows, ...numbers());
          fill(columns, ...numbers());
          const high = perHead ? most[head]! : shared;
          const range = { low: 0, high, signed: false, root: true };
          drawMap(canvas, shown[head]!, width, height, self ? width : grid, range);
          canvas.setAttribute("aria-label", `${STRINGS.head(head)}: ${kind(attention)}${who}`);
          canvas.dataset.high = String(high);
          fill(own, perHead ? scaleBar(range) : null);
        });
        fill(bar, perHead ? null : scaleBar({ low: 0, high: shared, signed: false, root: true, open }));
        fill(tokens, ...(self ? [h("ol", { class: "names", start: "0" }, ...names.map((name) => h("li", {}, name)))] : []));
        if (!self) fill(pair);
        const shownNow = `${attention.path} ${app.state.attention.token}`;
        if (shownNow !== shownFor) fill(readOut, self ? STRINGS.hoverPair : STRINGS.hoverImage);
        shownFor = shownNow;
      },
    };
  },
};
