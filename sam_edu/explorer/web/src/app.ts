// The page: image and prompts on the left, one panel on the right, all of it drawn from one state.
import { BY_NAME, interventions } from "./parts";
import { fill, h, refill } from "./dom";
import { drawImage, type Overlay } from "./draw";
import { COLOURS, HELD_OUT } from "./generated";
import { readImage } from "./images";
import { Latest } from "./latest";
import { decoderMap } from "./map";
import { area, enlarge, iou, threshold, unpack } from "./masks";
import { attentionPanel } from "./panels/attention";
import { channelsPanel } from "./panels/channels";
import { clicksPanel } from "./panels/clicks";
import { masksPanel } from "./panels/masks";
import { ownPanel } from "./panels/own";
import { switchesPanel } from "./panels/switches";
import type { Panel as PanelKind, View } from "./panels/panel";
import { promptCanvas, type PromptCanvas } from "./prompts";
import { pythonCode } from "./python_code";
import { fromHash, isEmpty, PANELS, promptsOf, START, toHash, tokenNames, type Panel, type State } from "./state";
import { STRINGS } from "./strings";
import { isPredicting, tourStrip } from "./tour";
import type { Answer, Backend, Catalogue, CatalogueImage, Pixels, Request, Source } from "./types";

export interface Options {
  /** Where the state is kept; a page keeps it in its address. */
  hash?: { read(): string; write(hash: string): void };
  /** The address of the series' pages, with a slash at its end; "" leaves links out. */
  pages?: string;
  /** Called with every state and answer, for those who look on. */
  onChange?: (state: State, answer: Answer | null) => void;
}

/** What is known of the image that is shown. */
export interface Shown {
  info: CatalogueImage;
  pixels: Pixels;
  truths: Uint8Array[];
}

export class App {
  state: State = structuredClone(START);
  answer: Answer | null = null;
  shown!: Shown;
  catalogue!: Catalogue;
  /** Masks 0 to 3 of the answer, and their logits, in the image's own pixels. */
  masks: Uint8Array[] = [];
  logits: Float32Array[] = [];

  private own: Shown | null = null;
  /** How many images of one's own were shown: they all have one name. */
  private owned = 0;
  private readonly images = new Map<string, Shown>();
  private readonly known = new Set<string>();
  private readonly panels: Record<Panel, PanelKind>;
  private readonly latest = new Latest<null>((_, isLatest) => this.compute(isLatest));
  private readonly history: Pick<State, "points" | "box">[] = [];
  private canvas!: PromptCanvas;
  private views = new Map<Panel, View>();
  private announced = "";
  private shownPanel: Panel | null = null;
  /** What the panel was drawn from. */
  private drawn: unknown[] = [];
  /** The masks that the cards show. */
  private carded: Uint8Array[] = [];

  private readonly status = h("p", { class: "status", role: "status", "data-state": "loading" });
  private readonly problem = h("p", { class: "problem", role: "alert", hidden: true });
  private readonly cards = h("div", { class: "cards", role: "group", "aria-label": STRINGS.panels.masks! });
  private readonly provenance = h("p", { class: "provenance" });
  private readonly notes = h("div", { class: "notes" });
  private readonly cardsLead = h("p", { class: "cards-lead" });
  private readonly map = decoderMap(this);
  private readonly offNote = h("p", { class: "off-note", hidden: true });
  private readonly images_ = h("div", { class: "images", role: "group", "aria-label": STRINGS.image });
  private readonly tabs = h("div", { class: "tabs", role: "tablist" });
  private readonly panelRoot = h("div", { class: "panel", role: "tabpanel", tabindex: "0" });
  private readonly live = h("p", { class: "hidden", "aria-live": "polite" });
  private readonly tour = h("section", { class: "tour", hidden: true });
  private readonly code = h("textarea", { class: "code", rows: "12", readonly: true, hidden: true, "aria-label": STRINGS.copyPython });

  constructor(private readonly root: HTMLElement, readonly backend: Backend, readonly options: Options = {}) {
    this.panels = {
      masks: masksPanel,
      attention: attentionPanel,
      channels: channelsPanel,
      switches: switchesPanel,
      clicks: clicksPanel,
      own: ownPanel,
    };
  }

  async start(): Promise<void> {
    this.root.dataset.state = "starting";
    this.backend.onStatus((words, share) => {
      this.status.textContent = words;
      this.status.dataset.state = share === null ? "failed" : share === 1 ? "ready" : "loading";
      this.status.style.setProperty("--share", String(share ?? 0));
    });
    this.catalogue = await this.backend.catalogue();
    this.build();
    await this.setState(this.options.hash ? fromHash(this.options.hash.read()) : structuredClone(START), false);
  }

  // --- State ---

  /** The next change may follow at once. */
  private isDragging = false;

  /** Change the state; what depends on it is computed and drawn. */
  set(change: Partial<State>, remember = true): void {
    this.isDragging = !remember;
    if (remember && ("points" in change || "box" in change)) {
      this.history.push({ points: this.state.points, box: this.state.box });
      if (this.history.length > 100) this.history.shift();
    }
    void this.setState({ ...this.state, ...change }, true);
  }

  /** Take the state that an address holds. */
  open(hash: string): void {
    void this.setState(fromHash(hash), false);
  }

  undo(): void {
    const before = this.history.pop();
    if (before) this.set(before, false);
  }

  private async setState(state: State, write: boolean): Promise<void> {
    this.root.dataset.state = "computing";
    if (state.image === "own" && !this.own) {
      this.show(STRINGS.ownLost);
      state = { ...state, image: "example", points: [], box: null };
    }
    let info = this.catalogue.images.find(({ id }) => id === state.image);
    if (!info && state.image !== "own") {
      info = this.catalogue.images[0]!;
      state = { ...state, image: info.id, points: [], box: null };
    }
    const { width, height } = state.image === "own" ? this.own!.info : info!;
    const inside = (x: number, y: number) => x <= width && y <= height;
    state.points = state.points.filter(([x, y]) => inside(x, y));
    if (state.box && !(inside(state.box[0], state.box[1]) && inside(state.box[2], state.box[3]))) state.box = null;
    if (!state.points.length && !state.box && !write && info) state.points = [info.click];
    state.attention = { ...state.attention };
    state.attention.token = Math.min(state.attention.token, tokenNames(promptsOf(state)).length - 1);
    const moved = state.image !== this.state.image || !this.shown;
    if (state.panel !== this.state.panel) this.panels[this.state.panel].leave?.(this);
    this.state = state;
    if (moved) {
      const shown = state.image === "own" ? this.own! : await this.load(info!);
      if (this.state.image !== state.image) return; // another image was chosen while this one was loaded
      this.shown = shown;
      this.canvas.setImage(shown.pixels);
      this.answer = null;
    }
    this.redraw();
    this.latest.ask(null);
  }

  private async load(info: CatalogueImage): Promise<Shown> {
    const known = this.images.get(info.id);
    if (known) return known;
    const pixels = await readImage(await this.backend.file(info.file));
    const truths = info.truth
      ? unpack(new Uint8Array(await (await this.backend.file(info.truth)).arrayBuffer()), info.truths, info.width, info.height)
      : [];
    const shown = { info, pixels, truths };
    this.images.set(info.id, shown);
    return shown;
  }

  /** Show an image of one's own. */
  async setOwn(file: Blob): Promise<void> {
    try {
      const pixels = await readImage(file);
      const { width, height } = pixels;
      const click: [number, number, number] = [Math.floor(width / 2), Math.floor(height / 2), 1];
      const info = { id: "own", title: STRINGS.ownTitle, note: "", file: "", truth: "", truths: 0, width, height, click };
      this.own = { info, pixels, truths: [] };
      this.owned++;
      this.known.delete("own");
      this.shown = undefined as unknown as Shown; // also where an own image replaces another
      this.show("");
      this.set({ image: "own", points: [], box: null, other: null, mask: null }, false);
      this.announce(STRINGS.ownLoaded(width, height));
    } catch (error) {
      this.show(error instanceof Error ? error.message : String(error));
    }
  }

  // --- Computing ---

  /** The click whose tensors "resample" puts in. */
  get otherClick(): Source {
    return this.catalogue.others.find(({ image }) => image !== this.state.image)!;
  }

  /** The decode that the panels show. */
  request(outputs: string[]): Request {
    const { state } = this;
    const list = state.panel === "switches" || state.panel === "clicks" ? [] : interventions(state.off, state.mode, this.otherClick);
    const moved = Object.keys(state.weights).length > 0 && state.panel !== "channels" && this.movedWeights;
    if (moved) list.push({ point: "hyper_in", how: "values", values: moved, select: { masks: [this.mask] } });
    return { image: state.image, prompts: promptsOf(state), interventions: list, outputs };
  }

  /** The mask that panels show: the one that was chosen; else mask 0 for several prompts, and for one point the one of
   * masks 1 to 3 whose predicted IoU is highest. */
  get mask(): number {
    if (this.state.mask !== null) return this.state.mask;
    if (this.state.points.length !== 1 || this.state.box) return 0;
    const predicted = this.answer?.tensors.iou_pred?.data;
    if (!predicted) return 1;
    return [1, 2, 3].reduce((best, number) => (predicted[number]! > predicted[best]! ? number : best), 1);
  }

  /** Mask 0's predicted IoU for the image's own click alone, known once that was decoded. */
  scoreBefore: number | null = null;

  /** The chosen mask's weights with those that were moved; known once the mixing desk has seen them. */
  movedWeights: number[] | null = null;

  /** What results of this image are kept under. */
  get imageKey(): string {
    return this.state.image === "own" ? `own ${this.owned}` : this.state.image;
  }

  /** Decode something; the image is made known to the back-end before. */
  async decode(request: Request): Promise<Answer> {
    const images = [request.image, ...request.interventions.flatMap(({ from }) => (from ? [from.image] : []))];
    for (const id of new Set(images)) await this.makeKnown(id);
    return this.backend.decode(request);
  }

  private async makeKnown(id: string): Promise<void> {
    if (this.known.has(id)) return;
    const info = this.catalogue.images.find((image) => image.id === id);
    const { pixels } = id === "own" ? this.own! : await this.load(info!);
    this.known.add(id);
    // Not waited for: what is stored needs no model, and a decode that is asked for later has this image.
    this.backend.setImage(id, pixels).catch(() => this.known.delete(id));
  }

  /** Compute what the image that is shown alone decides, so that the first click is answered as soon as others. */
  async prepare(): Promise<void> {
    const { image } = this.state;
    await this.makeKnown(image);
    await this.backend.prepare?.(image);
  }

  private async compute(isLatest: () => boolean): Promise<void> {
    const prompts = promptsOf(this.state);
    if (isEmpty(prompts)) {
      this.answer = null;
      this.masks = this.logits = [];
      this.settle();
      return;
    }
    this.root.dataset.state = "computing";
    const { state } = this;
    const panel = this.panels[state.panel];
    try {
      const asked = this.decode(this.request(["masks", "iou_pred", ...panel.outputs(state)]));
      if (!this.isDragging) panel.ahead?.(this);
      const answer = await asked;
      // Decodes end in their order, so this one is newer than what is shown. Of another image or panel it is of no use.
      const now = this.state;
      const tokens = tokenNames(promptsOf(now)).length;
      if (now.image !== state.image || now.panel !== state.panel || tokens !== tokenNames(prompts).length) return;
      this.show("");
      this.answer = answer;
      this.takeMasks(answer);
      const [first] = this.catalogue.images;
      if (JSON.stringify([state.image, prompts]) === JSON.stringify([first!.id, { points: [first!.click], box: null }])) {
        this.scoreBefore = answer.tensors.iou_pred!.data[0]!;
      }
      const more = isLatest() ? panel.more?.(this, isLatest) : null; // it computes while this is drawn
      this.redraw();
      await more;
      if (isLatest()) this.settle();
    } catch (error) {
      if (!isLatest()) return;
      this.show(STRINGS.problem(error instanceof Error ? error.message : String(error)));
      this.root.dataset.state = "failed";
    }
  }

  private takeMasks({ tensors }: Answer): void {
    this.logits = this.enlarged(tensors.masks!.data);
    this.masks = this.logits.map(threshold);
  }

  /** The four masks' logits in the image's own pixels. */
  enlarged(logits: Float32Array): Float32Array[] {
    const side = 4 * this.catalogue.grid;
    const { width, height } = this.shown.info;
    return [0, 1, 2, 3].map((i) => {
      return enlarge(logits.subarray(i * side * side, (i + 1) * side * side), side, this.catalogue.frame, width, height);
    });
  }

  /** IoU with the best true mask that holds the first positive point; null where no truth is known. */
  trueIou(mask: Uint8Array): number | null {
    const truths = this.truths();
    return truths.length ? Math.max(...truths.map((truth) => iou(mask, truth))) : null;
  }

  /** The true masks that hold the first positive point. */
  private truths(): Uint8Array[] {
    const { truths, info } = this.shown;
    const click = this.state.points.find(([, , label]) => label === 1);
    return truths.filter((truth) => !click || truth[Math.floor(click[1]) * info.width + Math.floor(click[0])] === 1);
  }

  private settle(): void {
    this.redraw(this.panels[this.state.panel].more !== undefined);
    this.root.dataset.state = "ready";
    this.options.hash?.write(toHash(this.state));
    this.options.onChange?.(this.state, this.answer);
  }

  // --- The page ---

  private build(): void {
    const button = (words: string, act: () => void, name: string) => {
      return h("button", { type: "button", "data-act": name, onclick: () => act() }, words);
    };
    this.canvas = promptCanvas({
      onPrompts: (change, done) => this.set(change, done),
      onUndo: () => this.undo(),
      replaces: () => this.state.panel === "clicks" && this.state.other !== null,
      announce: (words) => this.announce(words),
      problem: (words) => this.show(words),
    });
    const tools = h(
      "div",
      { class: "tools", role: "toolbar", "aria-label": STRINGS.image },
      ...this.canvas.tools,
      button(STRINGS.undo, () => this.undo(), "undo"),
      button(STRINGS.clear, () => this.set({ points: [], box: null }), "clear"),
    );
    for (const info of this.catalogue.images) this.images_.append(this.imageButton(info));
    for (const name of PANELS) {
      this.tabs.append(
        h("button", {
          type: "button", role: "tab", id: `tab-${name}`, "data-panel": name, "aria-controls": "panel",
          onclick: () => this.set({ panel: name }),
        }, STRINGS.panels[name]!),
      );
    }
    this.tabs.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = PANELS[(PANELS.indexOf(this.state.panel) + step + PANELS.length) % PANELS.length]!;
      this.set({ panel: next });
      this.tabs.querySelector<HTMLElement>(`[data-panel=${next}]`)!.focus();
    });
    this.panelRoot.id = "panel";
    fill(
      this.root,
      h(
        "div", { class: "head" },
        button(STRINGS.tour, () => this.set({ stop: 1 }), "tour"),
        this.status,
        h(
          "div", { class: "share" },
          button(STRINGS.copyLink, () => void this.copy(this.link()), "copy-link"),
          button(STRINGS.copyPython, () => void this.copy(this.python()), "copy-python"),
        ),
      ),
      this.code,
      this.problem,
      this.catalogue.model === "tiny" ? h("p", { class: "model" }, STRINGS.tiny) : null,
      h(
        "div",
        { class: "page-columns" },
        this.tour,
        h("section", { class: "left", "aria-label": STRINGS.image }, this.images_, this.canvas.element, h("p", { class: "keys" }, STRINGS.keys), tools, this.cards, this.cardsLead, this.provenance, this.notes),
        this.map.element,
        h("section", { class: "right" }, this.offNote, this.tabs, this.panelRoot),
      ),
      this.live,
    );
    document.addEventListener("paste", (event) => {
      if (!this.root.isConnected || !event.clipboardData?.files.length) return;
      void this.setOwn(event.clipboardData.files[0]!);
    });
    const drop = this.root;
    drop.addEventListener("dragover", (event) => event.preventDefault());
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      const file = event.dataTransfer?.files[0];
      if (file) void this.setOwn(file);
      else this.show(STRINGS.noFile);
    });
  }

  private imageButton(info: CatalogueImage): HTMLElement {
    const thumbnail = h("img", { alt: "", width: "44", height: "44" });
    void this.backend.file(info.file).then((blob) => (thumbnail.src = URL.createObjectURL(blob)));
    return h("button", {
      type: "button", "data-image": info.id, title: info.title, "aria-label": `${STRINGS.image}: ${info.title}`,
      onclick: () => this.set({ image: info.id, points: [info.click], box: null, other: null, mask: null }),
    }, thumbnail);
  }

  /** Draw everything from the state and the last answer; the panel where something of it has changed, or `force`. */
  redraw(force = false): void {
    const { state } = this;
    if (!this.shown) return;
    for (const tab of this.tabs.children) {
      const chosen = (tab as HTMLElement).dataset.panel === state.panel;
      tab.setAttribute("aria-selected", String(chosen));
      (tab as HTMLElement).tabIndex = chosen ? 0 : -1;
      if (chosen && this.shownPanel !== state.panel) this.tabs.scrollLeft = (tab as HTMLElement).offsetLeft - this.tabs.offsetLeft - 40;
    }
    this.shownPanel = state.panel;
    for (const button of this.images_.children) {
      button.setAttribute("aria-pressed", String((button as HTMLElement).dataset.image === state.image));
    }
    this.canvas.draw(state.points, state.box, this.overlays());
    this.drawCards();
    this.offNote.hidden = state.off.length === 0 || state.panel === "switches" || state.panel === "clicks";
    if (!this.offNote.hidden) {
      fill(
        this.offNote,
        `${STRINGS.offIn(state.off.map(partName).join(", "), STRINGS.modeLong[state.mode]!)} `,
        h("button", { type: "button", onclick: () => this.set({ off: [] }) }, STRINGS.allOn),
      );
    }
    this.provenance.textContent = this.answer
      ? this.answer.provenance === "stored" ? STRINGS.storedHere : STRINGS.computedNow(this.answer.milliseconds)
      : isEmpty(promptsOf(state)) ? STRINGS.noPrompt : STRINGS.computing;
    refill(
      this.notes,
      state.off.length > 0 && this.offNote.hidden ? h("p", {}, STRINGS.intact) : null,
      state.panel === "clicks" && state.transplant ? h("p", {}, STRINGS.withoutTransplant) : null,
      this.answer ? h("p", {}, this.masks.length && !this.truths().length ? STRINGS.noTruth : STRINGS.trueIou) : null,
    );
    this.provenance.dataset.provenance = this.answer?.provenance ?? "none";
    this.map.draw();
    this.root.toggleAttribute("data-predicting", isPredicting(state));
    this.cardsLead.hidden = !this.answer;
    this.panelRoot.setAttribute("aria-labelledby", `tab-${state.panel}`);
    let view = this.views.get(state.panel);
    if (!view) {
      view = this.panels[state.panel].view(this);
      this.views.set(state.panel, view);
    }
    if (this.panelRoot.firstElementChild !== view.element) fill(this.panelRoot, view.element);
    // Prompts are drawn on the image; what a panel shows changes with their answer.
    const { points: _, box: __, ...rest } = state;
    const drawn = [this.answer, this.shown, view, isEmpty(promptsOf(state)), JSON.stringify(rest)];
    if (force || drawn.some((one, i) => one !== this.drawn[i])) {
      this.drawn = drawn;
      view.draw();
    }
    this.tour.hidden = state.stop === 0;
    if (state.stop) tourStrip(this.tour, this);
    this.announcePrompts();
  }

  /** The chosen mask, tinted; for one point the outlines of masks 1 to 3 below it. */
  private overlays(): Overlay[] {
    if (!this.masks.length || isPredicting(this.state)) return [];
    const chosen: Overlay = { mask: this.masks[this.mask]!, number: this.mask, dims: true, thick: 2 };
    if (this.state.points.length !== 1 || this.state.box) return [chosen];
    const others = [3, 2, 1].filter((number) => number !== this.mask);
    return [...others.map((number) => ({ mask: this.masks[number]!, number, dims: false })), chosen];
  }

  private drawCards(): void {
    const { answer } = this;
    if (!answer || !this.masks.length) {
      fill(this.cards);
      this.carded = [];
      return;
    }
    const predicted = answer.tensors.iou_pred!.data;
    if (this.cards.childElementCount !== 4) {
      fill(this.cards, ...[0, 1, 2, 3].map((number) => this.card(number)));
    }
    const rule = this.state.points.length === 1 && !this.state.box ? STRINGS.byRule : STRINGS.byRuleMany;
    this.cardsLead.textContent = `${(this.state.mask === null ? rule : STRINGS.bySetting)(this.mask)} ${STRINGS.chooseMask}`;
    const { pixels, info } = this.shown;
    [...this.cards.children].forEach((element, number) => {
      const card = element as HTMLElement;
      const chosen = this.mask === number;
      card.setAttribute("aria-pressed", String(chosen));
      if (this.carded === this.masks) return;
      const mask = this.masks[number]!;
      const canvas = card.querySelector("canvas")!;
      drawImage(canvas, pixels.rgb, info.width, info.height, [{ mask, number, dims: true }]);
      canvas.setAttribute("aria-label", `${STRINGS.maskName(number)}: ${STRINGS.coversOf(area(mask) / mask.length)}`);
      canvas.dataset.area = String(area(mask));
      const truth = this.trueIou(mask);
      const [first, second] = card.querySelectorAll("dd");
      first!.textContent = predicted[number]!.toFixed(3);
      first!.dataset.value = String(predicted[number]);
      second!.textContent = truth === null ? "–" : truth.toFixed(3);
      second!.dataset.value = truth === null ? "" : String(truth);
    });
    this.carded = this.masks;
  }

  private card(number: number): HTMLElement {
    return h(
      "button",
      {
        type: "button", class: "card", "data-mask": number, title: STRINGS.choose(number),
        style: `--mask: ${COLOURS.masks[number]}`, onclick: () => this.set({ mask: number }),
      },
      h("canvas", { role: "img" }),
      h("strong", {}, STRINGS.maskName(number)),
      h("dl", {}, h("dt", {}, STRINGS.predicted), h("dd", {}), h("dt", {}, STRINGS.truth), h("dd", {})),
      h("small", {}, STRINGS.maskRole[number]!),
    );
  }

  // --- Words ---

  /** Show a problem, or nothing. */
  show(words: string): void {
    this.problem.textContent = words;
    this.problem.hidden = !words;
  }

  announce(words: string): void {
    this.live.textContent = words;
  }

  private announcePrompts(): void {
    const words = STRINGS.promptsNow(this.state.points.length, this.state.box !== null);
    if (words !== this.announced) this.announce(words);
    this.announced = words;
  }

  // --- Taking along ---

  link(): string {
    const base = typeof location === "undefined" ? "" : location.href.replace(/#.*$/, "");
    return base + toHash(this.state);
  }

  python(): string {
    return pythonCode(this.state, this.mask, this.catalogue, this.otherClick);
  }

  private async copy(text: string): Promise<void> {
    this.code.value = text;
    this.code.hidden = false;
    try {
      await navigator.clipboard.writeText(text);
      this.announce(STRINGS.copied);
      this.status.textContent = STRINGS.copied;
    } catch {
      this.show(STRINGS.notCopied);
      this.code.select();
    }
  }
}

/** A part's name for people: "(2) block 0, head 3". */
export function partName(name: string): string {
  const part = BY_NAME.get(name)!;
  const step = STRINGS.step(part.number, part.block);
  return part.head === null ? step : `${step}, ${STRINGS.head(part.head)}`;
}

export const HELD_OUT_WORDS = STRINGS.heldOut(HELD_OUT.clicks, HELD_OUT.scenes);
