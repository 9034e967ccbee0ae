// What a panel is. To add one: a file here, its name in PANELS of state.ts, its title in strings.ts, a line in app.ts.
import type { App } from "../app";
import type { State } from "../state";

/** A panel on the page. */
export interface View {
  element: HTMLElement;
  /** Draw it anew from the app's state and answer. */
  draw(): void;
}

export interface Panel {
  /** The tensors that it shows, by their names in a trace, beside the masks and their predicted IoU. */
  outputs(state: State): string[];
  view(app: App): View;
  /** Begin, while the main decode is under way, what can be computed beside it. */
  ahead?(app: App): void;
  /** Decodes of its own, after the main one. */
  more?(app: App, isLatest: () => boolean): Promise<void>;
  /** Let go of what is large: another panel is opened. */
  leave?(app: App): void;
}
