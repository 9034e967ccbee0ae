// Elements in one call.
type Child = Node | string | null;

type Attributes = Record<string, string | number | boolean | EventListener | null | undefined>;

/** An element with its attributes, listeners (on...) and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K, attributes: Attributes = {}, ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) if (child !== null) element.append(child);
  return element;
}

/** Replace all children. */
export function fill(element: Element, ...children: Child[]): void {
  element.replaceChildren(...children.filter((child): child is Node | string => child !== null));
}

/** Replace all children by elements without listeners, unless the same are there: the browser has nothing to lay out then. */
export function refill(element: Element, ...children: (Element | null)[]): void {
  const wanted = children.filter((child) => child !== null);
  const isThere = wanted.length === element.children.length && wanted.every((child, i) => child.isEqualNode(element.children[i]!));
  if (!isThere) element.replaceChildren(...wanted);
}

/** A title that names a tensor, with its shape, its step and the notebook that explains it. */
export function tensorTitle(words: string, tensor: string, dims: number[], step: string): HTMLElement {
  return h(
    "h3",
    { "data-tensor": tensor, "data-shape": dims.join(" x ") },
    `${words} `,
    h("code", {}, tensor),
    h("span", { class: "shape" }, ` (${dims.join(" × ")})${step ? `, step ${step}` : ""}`),
  );
}
