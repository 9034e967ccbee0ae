// Masks: the logits of masks 0 to 3, large, with the logit under the pointer.
import { fill, h, tensorTitle } from "../dom";
import { drawMap, scaleBar } from "../draw";
import { NOTEBOOKS, STEPS } from "../generated";
import { logitEnd } from "../masks";
import { isEmpty, promptsOf } from "../state";
import { STRINGS } from "../strings";
import type { Panel } from "./panel";
import { notebookLink, onPosition } from "./shared";

export const masksPanel: Panel = {
  outputs: () => [],
  view(app) {
    const title = h("div");
    const canvas = h("canvas", { class: "map large", role: "img" });
    const bar = h("div"), empty = h("p", { class: "empty" }, STRINGS.noPrompt);
    const readOut = h("p", { class: "read-out" }, STRINGS.hoverLogits);
    onPosition(canvas, () => app.shown.info, (x, y) => {
      const logits = app.logits[app.mask];
      if (!logits) return;
      readOut.textContent = STRINGS.logitAt(x, y, logits[y * app.shown.info.width + x]!);
    });
    const element = h(
      "div", {}, h("p", {}, STRINGS.masksLead), empty, title, canvas, bar, readOut, notebookLink(app, NOTEBOOKS.masks!),
    );
    return {
      element,
      draw() {
        const logits = app.logits[app.mask];
        empty.hidden = Boolean(logits) || !isEmpty(promptsOf(app.state));
        for (const one of [title, canvas, bar, readOut]) one.hidden = !logits;
        if (!logits || !app.answer) return;
        const { width, height } = app.shown.info;
        fill(title, tensorTitle(`${STRINGS.masksTensor}, ${STRINGS.maskName(app.mask)}:`, "masks", app.answer.tensors.masks!.dims, STEPS.masks!));
        const high = logitEnd([logits]);
        const scale = { low: -high, high, signed: true, open: true };
        drawMap(canvas, logits, width, height, width, scale);
        canvas.setAttribute("aria-label", `${STRINGS.masksTensor}, ${STRINGS.maskName(app.mask)}`);
        fill(bar, scaleBar(scale));
      },
    };
  },
};
