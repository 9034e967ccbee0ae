// Your own image: dropped, pasted, chosen or taken; and how the model does on others.
import { h } from "../dom";
import { STRINGS } from "../strings";
import type { Panel } from "./panel";

export const ownPanel: Panel = {
  outputs: () => [],
  view(app) {
    const take = (capture: boolean) => {
      const input = h("input", {
        type: "file", accept: "image/*", class: "hidden-input", "aria-label": capture ? STRINGS.ownTake : STRINGS.ownChoose,
        capture: capture ? "environment" : null,
        onchange: () => {
          if (input.files?.[0]) void app.setOwn(input.files[0]);
          input.value = "";
        },
      });
      return h("label", { class: "button" }, capture ? STRINGS.ownTake : STRINGS.ownChoose, input);
    };
    const examples = h("ul", { class: "examples" });
    const element = h(
      "div", {}, h("p", {}, STRINGS.ownLead),
      h("div", { class: "drop" }, h("p", {}, STRINGS.ownDrop), take(false), take(true)),
      h("h3", {}, STRINGS.ownExamples), examples,
    );
    for (const info of app.catalogue.images.filter(({ note }) => note)) {
      examples.append(
        h("li", {}, h("button", {
          type: "button", onclick: () => app.set({ image: info.id, points: [info.click], box: null, other: null }),
        }, info.title), ` ${info.note}`),
      );
    }
    return { element, draw: () => undefined };
  },
};
