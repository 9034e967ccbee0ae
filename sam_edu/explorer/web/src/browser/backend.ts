// The back-end of the page without a server: a worker, and results that are stored with the page.
import { STRINGS } from "../strings";
import { unpack } from "../masks";
import type { Answer, Backend, Catalogue, Pixels, Prompts, Request, StoredMasks, Tensor, Tensors } from "../types";
import type { Asked, Files, Question, Reply } from "./messages";

/** One decode that is stored with the page: its request without the outputs, and a file for each of these. */
interface Stored {
  request: Omit<Request, "outputs">;
  tensors: Record<string, { file: string; dims: number[] }>;
}

/** The masks that ablated parts make of one decode, as bits; each ablation's place in the file and predicted IoU. */
interface StoredAblations {
  image: string;
  prompts: Prompts;
  file: string;
  ablations: Record<string, { place: number; iou_pred: number[] }>;
}

interface Configuration {
  files: Files;
  stored: Stored[];
  ablated: StoredAblations[];
}

const MASKS = 4;

export class BrowserBackend implements Backend {
  private listeners: ((words: string, share: number | null) => void)[] = [];
  private open = new Map<number, { resolve: (answer: Answer) => void; reject: (error: Error) => void }>();
  private number = 0;
  private failed = false;
  private worker: Worker | null = null;
  private started: Promise<unknown> | null = null;
  private readonly given: Promise<[Catalogue, Configuration]>;
  private readonly read = new Map<string, Promise<Float32Array>>();
  private readonly bits = new Map<string, Promise<Uint8Array>>();

  /** `base` is the address of the page's folder. */
  constructor(private readonly base: string) {
    this.given = Promise.all([this.json<Catalogue>("catalogue.json"), this.json<Configuration>("model.json")]);
  }

  async catalogue(): Promise<Catalogue> {
    return (await this.given)[0];
  }

  async file(name: string): Promise<Blob> {
    const response = await fetch(new URL(name, this.base));
    if (!response.ok) throw new Error(STRINGS.fileMissing(name, response.status));
    return response.blob();
  }

  onStatus(listener: (words: string, share: number | null) => void): void {
    this.listeners.push(listener);
  }

  async setImage(id: string, pixels: Pixels): Promise<void> {
    await this.ask({ kind: "image", id, pixels });
  }

  async decode(request: Request): Promise<Answer> {
    return (request.anew ? null : await this.stored(request)) ?? this.ask({ kind: "decode", request });
  }

  async ablated(image: string, prompts: Prompts, part: string, mode: string): Promise<StoredMasks | null> {
    const [{ images }, { ablated }] = await this.given;
    const key = JSON.stringify([image, prompts]);
    const found = ablated.find((one) => JSON.stringify([one.image, one.prompts]) === key);
    const ablation = found?.ablations[`${part} ${mode}`];
    if (!found || !ablation) return null;
    const { width, height } = images.find(({ id }) => id === image)!;
    const read = this.bits.get(found.file) ?? this.file(found.file).then((blob) => blob.arrayBuffer()).then((all) => new Uint8Array(all));
    this.bits.set(found.file, read);
    const size = MASKS * height * Math.ceil(width / 8), start = ablation.place * size;
    return { masks: unpack((await read).subarray(start, start + size), MASKS, width, height), predicted: ablation.iou_pred };
  }

  /** Begin to load the model. */
  start(): Promise<unknown> {
    this.started ??= this.startOnce();
    return this.started;
  }

  private async startOnce(): Promise<void> {
    const [catalogue, { files }] = await this.given;
    this.worker = new Worker(new URL("worker.js", this.base), { type: "module" });
    this.worker.onmessage = ({ data }: MessageEvent<Reply>) => this.receive(data);
    this.worker.onerror = (event) => this.fail(event.message || STRINGS.workerFailed);
    this.tell(STRINGS.loading(0, 0), 0);
    try {
      await this.send({ kind: "start", base: this.base, files, catalogue });
      this.tell(STRINGS.ready, 1);
    } catch (error) {
      this.fail(error instanceof Error ? error.message : String(error));
      throw error;
    }
  }

  private async ask(question: Question): Promise<Answer> {
    await this.start();
    return this.send(question);
  }

  private send(question: Question): Promise<Answer> {
    const number = ++this.number;
    return new Promise((resolve, reject) => {
      this.open.set(number, { resolve, reject });
      this.worker!.postMessage({ ...question, number } satisfies Asked);
    });
  }

  private receive(reply: Reply): void {
    if (reply.kind === "status") {
      if (this.failed) return; // what else was under way still arrives
      const share = reply.step === "model" ? 0.99 : (0.95 * reply.loaded) / reply.total;
      this.tell(reply.step === "model" ? STRINGS.preparing : STRINGS.loading(reply.loaded, reply.total), share);
      return;
    }
    const waiting = this.open.get(reply.number);
    this.open.delete(reply.number);
    if (reply.kind === "done") waiting?.resolve(reply.answer!);
    else waiting?.reject(new Error(reply.message));
  }

  private fail(message: string): void {
    this.failed = true;
    this.tell(STRINGS.failed(message), null);
    for (const { reject } of this.open.values()) reject(new Error(message));
    this.open.clear();
  }

  private tell(words: string, share: number | null): void {
    for (const listener of this.listeners) listener(words, share);
  }

  private async json<T>(name: string): Promise<T> {
    return JSON.parse(await (await this.file(name)).text()) as T;
  }

  /** The answer that is stored with the page, or null. */
  private async stored({ outputs, ...request }: Request): Promise<Answer | null> {
    const [, { stored }] = await this.given;
    const started = performance.now();
    const key = JSON.stringify([request.image, request.prompts, request.interventions]);
    const found = stored.find(({ request: r }) => JSON.stringify([r.image, r.prompts, r.interventions]) === key);
    if (!found || !outputs.every((name) => name in found.tensors)) return null;
    const tensors: Tensors = {};
    const read = async (name: string): Promise<void> => {
      const { file, dims } = found.tensors[name]!;
      const data = this.read.get(file) ?? this.file(file).then((blob) => blob.arrayBuffer()).then(fromHalf);
      this.read.set(file, data);
      tensors[name] = { dims, data: (await data).slice() } satisfies Tensor;
    };
    await Promise.all(outputs.map(read));
    return { tensors, provenance: "stored", milliseconds: performance.now() - started };
  }
}

/** Half floats as floats. */
function fromHalf(buffer: ArrayBuffer): Float32Array {
  const halves = new Uint16Array(buffer);
  const out = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i]!, sign = half & 0x8000 ? -1 : 1, exponent = (half >> 10) & 31, fraction = half & 1023;
    out[i] = exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return out;
}
