// The image with its prompts: points are set, dragged and taken away, a box is drawn; by mouse, pen, touch and keys.
import { h } from "./dom";
import { drawImage, type Overlay } from "./draw";
import { COLOURS } from "./generated";
import type { State } from "./state";
import { STRINGS } from "./strings";
import type { Box, Click, Pixels } from "./types";

type Tool = "positive" | "negative" | "box";

interface Handlers {
  /** The prompts have changed; `done` is false while something is dragged. */
  onPrompts(change: Partial<Pick<State, "points" | "box">>, done: boolean): void;
  onUndo(): void;
  /** Whether a click replaces a single point. */
  replaces(): boolean;
  announce(words: string): void;
  problem(words: string): void;
}

export interface PromptCanvas {
  element: HTMLElement;
  tools: HTMLElement[];
  setImage(pixels: Pixels): void;
  draw(points: Click[], box: Box | null, overlays: Overlay[]): void;
}

const MOST_POINTS = 20, NEAR = 14;
const SVG = "http://www.w3.org/2000/svg";

export function promptCanvas(handlers: Handlers): PromptCanvas {
  const canvas = h("canvas");
  const overlay = document.createElementNS(SVG, "svg");
  overlay.setAttribute("aria-hidden", "true");
  const element = h(
    "div", { class: "image", tabindex: "0", role: "application", "aria-label": STRINGS.canvasLabel }, canvas,
  );
  element.append(overlay);

  let tool: Tool = "positive";
  let follow = false;
  // What is on the canvas: the image and its overlays.
  let drawn: unknown[] = [];
  let pixels: Pixels | null = null;
  let points: Click[] = [];
  let box: Box | null = null;
  let cursor: [number, number] | null = null;
  // What is under the pointer: a point that is dragged, or a box that is drawn from a corner.
  let dragged: { kind: "point"; index: number; before: Click[] } | { kind: "box"; x: number; y: number } | null = null;

  const toolButton = (name: Tool, words: string) => {
    return h("button", {
      type: "button", "data-tool": name, "aria-pressed": String(tool === name), onclick: () => choose(name),
    }, words);
  };
  const followButton = h("button", {
    type: "button", "data-tool": "follow", "aria-pressed": "false",
    onclick: () => {
      follow = !follow;
      followButton.setAttribute("aria-pressed", String(follow));
    },
  }, STRINGS.follow);
  followButton.title = STRINGS.followLong;
  const buttons = [
    toolButton("positive", STRINGS.positive), toolButton("negative", STRINGS.negative), toolButton("box", STRINGS.boxTool),
  ];
  function choose(name: Tool): void {
    tool = name;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.tool === name));
  }

  /** Where the pointer is, in pixels of the image. */
  function at(event: PointerEvent): [number, number] {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const x = ((event.clientX - left) * pixels!.width) / width;
    const y = ((event.clientY - top) * pixels!.height) / height;
    return [x, y];
  }
  const whole = ([x, y]: [number, number]): [number, number] => {
    return [clamp(Math.floor(x), pixels!.width - 1), clamp(Math.floor(y), pixels!.height - 1)];
  };

  function add(x: number, y: number, done: boolean): void {
    if (points.length >= MOST_POINTS) return handlers.problem(STRINGS.tooManyPoints);
    if (points.some(([px, py]) => px === x && py === y)) return; // there is one already
    handlers.onPrompts({ points: [...points, [x, y, tool === "negative" ? 0 : 1]] }, done);
  }

  element.addEventListener("pointerdown", (event) => {
    if (!pixels || event.button > 0) return;
    const [x, y] = at(event);
    if (x < 0 || y < 0 || x >= pixels.width || y >= pixels.height) return handlers.problem(STRINGS.outside);
    element.setPointerCapture(event.pointerId);
    if (tool === "box") {
      dragged = { kind: "box", x, y };
      return;
    }
    const near = (NEAR * pixels.width) / canvas.getBoundingClientRect().width;
    const index = points.findIndex(([px, py]) => Math.hypot(px + 0.5 - x, py + 0.5 - y) < near);
    const [px, py] = whole([x, y]);
    if (index >= 0) {
      dragged = { kind: "point", index, before: points };
      return;
    }
    if (points.length >= MOST_POINTS) return handlers.problem(STRINGS.tooManyPoints);
    const single = (follow || handlers.replaces()) && points.length === 1;
    dragged = { kind: "point", index: single ? 0 : points.length, before: points };
    if (single) handlers.onPrompts({ points: [[px, py, points[0]![2]]] }, true);
    else add(px, py, true);
  });
  element.addEventListener("pointermove", (event) => {
    if (!pixels) return;
    const [x, y] = at(event);
    if (dragged?.kind === "point") {
      const [px, py] = whole([x, y]);
      const { index } = dragged;
      if (points[index]) move(index, px, py);
    } else if (dragged?.kind === "box") {
      const drawn = boxOf(dragged, x, y);
      if (drawn) handlers.onPrompts({ box: drawn }, false);
    } else if (follow && tool !== "box" && event.pointerType !== "touch" && points.length === 1 && !box) {
      if (x >= 0 && y >= 0 && x < pixels.width && y < pixels.height) move(0, ...whole([x, y]));
    }
  });
  const release = (): void => {
    dragged = null;
  };
  element.addEventListener("pointerup", release);
  element.addEventListener("pointercancel", release);

  function move(index: number, x: number, y: number): void {
    const [px, py, label] = points[index]!;
    if (px === x && py === y) return;
    handlers.onPrompts({ points: points.map((point, i) => (i === index ? [x, y, label] : point)) as Click[] }, false);
  }
  function boxOf(from: { x: number; y: number }, x: number, y: number): Box | null {
    const [w, h_] = [pixels!.width, pixels!.height];
    const xs = [from.x, clamp(x, w)].map(Math.round).sort((a, b) => a - b);
    const ys = [from.y, clamp(y, h_)].map(Math.round).sort((a, b) => a - b);
    return xs[1]! - xs[0]! >= 2 && ys[1]! - ys[0]! >= 2 ? [xs[0]!, ys[0]!, xs[1]!, ys[1]!] : null;
  }

  let corner: [number, number] | null = null;
  element.addEventListener("keydown", (event) => {
    if (!pixels) return;
    const step = event.shiftKey ? 10 : 1;
    const moves: Record<string, [number, number]> = {
      ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step],
    };
    const by = moves[event.key];
    if (by) {
      const [x, y] = cursor ?? [Math.floor(pixels.width / 2), Math.floor(pixels.height / 2)];
      cursor = [clamp(x + by[0], pixels.width - 1), clamp(y + by[1], pixels.height - 1)];
      handlers.announce(STRINGS.cursor(...cursor));
      marks();
    } else if (event.key === "Enter" || event.key === " ") {
      cursor ??= [Math.floor(pixels.width / 2), Math.floor(pixels.height / 2)];
      if (tool !== "box") add(...cursor, true);
      else if (!corner) corner = cursor;
      else {
        const drawn = boxOf({ x: corner[0], y: corner[1] }, ...cursor);
        corner = null;
        if (drawn) handlers.onPrompts({ box: drawn }, true);
      }
    } else if (event.key === "Backspace" || event.key === "Delete") {
      if (points.length) handlers.onPrompts({ points: points.slice(0, -1) }, true);
      else if (box) handlers.onPrompts({ box: null }, true);
    } else if (event.key === "+" || event.key === "-") {
      choose(event.key === "+" ? "positive" : "negative");
    } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
      handlers.onUndo();
    } else {
      return;
    }
    event.preventDefault();
  });

  function marks(): void {
    overlay.replaceChildren();
    if (!pixels) return;
    overlay.setAttribute("viewBox", `0 0 ${pixels.width} ${pixels.height}`);
    const size = Math.max(pixels.width, pixels.height) / 256;
    const shape = (name: string, attributes: Record<string, string | number>) => {
      const one = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, String(value));
      overlay.append(one);
    };
    if (box) {
      const [x0, y0, x1, y1] = box;
      const frame = { x: x0, y: y0, width: x1 - x0, height: y1 - y0, fill: "none" };
      shape("rect", { ...frame, stroke: "#000", "stroke-width": 3.2 * size });
      shape("rect", { ...frame, stroke: COLOURS.box, "stroke-width": 1.8 * size, class: "box" });
    }
    points.forEach(([x, y, label], i) => {
      const [cx, cy] = [x + 0.5, y + 0.5];
      const colour = label ? COLOURS.positive : COLOURS.negative;
      shape("circle", {
        cx, cy, r: 5 * size, fill: colour, stroke: "#fff", "stroke-width": 1.4 * size, class: "point", "data-index": i,
      });
      const arm = 2.6 * size;
      shape("line", { x1: cx - arm, x2: cx + arm, y1: cy, y2: cy, stroke: "#fff", "stroke-width": 1.4 * size });
      if (label) shape("line", { x1: cx, x2: cx, y1: cy - arm, y2: cy + arm, stroke: "#fff", "stroke-width": 1.4 * size });
    });
    if (cursor) {
      const [cx, cy] = [cursor[0] + 0.5, cursor[1] + 0.5];
      for (const [colour, width] of [["#000", 2.2], ["#fff", 1]] as const) {
        const line = { stroke: colour, "stroke-width": width * size, class: "cursor" };
        shape("line", { x1: cx - 7 * size, x2: cx + 7 * size, y1: cy, y2: cy, ...line });
        shape("line", { x1: cx, x2: cx, y1: cy - 7 * size, y2: cy + 7 * size, ...line });
      }
    }
  }

  return {
    element,
    tools: [...buttons, followButton],
    setImage(given) {
      pixels = given;
      cursor = corner = null;
      element.style.setProperty("--ratio", `${given.width} / ${given.height}`);
    },
    draw(nowPoints, nowBox, overlays) {
      [points, box] = [nowPoints, nowBox];
      if (!pixels) return;
      const now = [pixels, ...overlays.flatMap(({ mask, number, dims }) => [mask, number, dims])];
      if (now.length !== drawn.length || now.some((one, i) => one !== drawn[i])) {
        drawImage(canvas, pixels.rgb, pixels.width, pixels.height, overlays);
        drawn = now;
      }
      marks();
    },
  };
}

const clamp = (x: number, high: number) => Math.min(high, Math.max(0, x));
