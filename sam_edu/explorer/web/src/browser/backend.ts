// The back-end of the page without a server: workers with the model, and results that are stored with the page.
import { fromHalf } from "../half_floats";
import { STRINGS } from "../strings";
import { unpack } from "../masks";
import type { Answer, Backend, Catalogue, Pixels, Prompts, Request, StoredMasks, Tensor, Tensors } from "../types";
import { isForSecond, type Files, type Question } from "./messages";
import { ModelWorker } from "./model_worker";

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

/** A decode that was asked for. */
interface Waiting {
  request: Request;
  isForSecond: boolean;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

const MASKS = 4;

export class BrowserBackend implements Backend {
  private listeners: ((words: string, share: number | null) => void)[] = [];
  private failed = false;
  private first: ModelWorker | null = null;
  private started: Promise<unknown> | null = null;
  /** Where several decodes are wanted at once; null before that, and where it could not be started. */
  private second: ModelWorker | null = null;
  private secondStarted: Promise<void> | null = null;
  /** The image that the second one knows. */
  private ofSecond: string | null = null;
  private waiting: Waiting[] = [];
  private readonly busy = { first: false, second: false };
  private readonly sizes = new Map<string, { width: number; height: number }>();
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
    const { width, height } = pixels;
    this.sizes.set(id, { width, height });
    if (this.ofSecond === id) this.ofSecond = null;
    await this.ask({ kind: "image", id, pixels });
  }

  async decode(request: Request): Promise<Answer> {
    const stored = request.anew ? null : await this.stored(request);
    if (stored) return stored;
    return new Promise((resolve, reject) => {
      this.waiting.push({ request, isForSecond: isForSecond(request), resolve, reject });
      this.giveOut();
    });
  }

  /** Give each worker that is idle a decode, the one that waits longest; to the first what only that one can do. */
  private giveOut(): void {
    const { second, waiting } = this;
    const forFirst = (second && waiting.find((one) => !one.isForSecond)) ?? waiting[0];
    if (!this.busy.first && forFirst) {
      this.work("first", forFirst, this.ask({ kind: "decode", request: forFirst.request }), forFirst.reject);
    }
    const forSecond = this.waiting.find((one) => one.isForSecond);
    if (second && !this.busy.second && forSecond) {
      this.work("second", forSecond, this.decodeBeside(second, forSecond.request), () => {
        // The first one is asked then; where something is wrong with the request, it says so.
        this.waiting.unshift({ ...forSecond, isForSecond: false });
      });
    }
  }

  private work(worker: "first" | "second", given: Waiting, answer: Promise<Answer>, onError: (error: Error) => void): void {
    this.waiting = this.waiting.filter((one) => one !== given);
    this.busy[worker] = true;
    void answer.then(given.resolve, onError).then(() => {
      this.busy[worker] = false;
      this.giveOut();
    });
  }

  async prepare(image: string): Promise<void> {
    await this.ask({ kind: "prepare", id: image });
  }

  canDecodeTwo(): boolean {
    this.secondStarted ??= this.startSecond();
    return this.second !== null;
  }

  /** The second worker gives its memory back. */
  decodeOne(): void {
    void this.secondStarted?.then(() => {
      if (this.second) this.endSecond(this.second, STRINGS.notNeeded);
      this.secondStarted = null;
    });
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
    this.first = new ModelWorker(
      this.worker,
      ({ step, loaded, total }) => {
        if (this.failed) return; // what else was under way still arrives
        if (step === "model") this.tell(STRINGS.preparing, 0.99);
        else this.tell(STRINGS.loading(loaded, total), (0.95 * loaded) / total);
      },
      (message) => this.fail(message || STRINGS.workerFailed),
    );
    this.tell(STRINGS.loading(0, 0), 0);
    try {
      await this.first.ask({ kind: "start", base: this.base, files, catalogue, second: false });
      this.tell(STRINGS.ready, 1);
    } catch (error) {
      this.fail(error instanceof Error ? error.message : String(error));
      throw error;
    }
  }

  private get worker(): URL {
    return new URL("worker.js", this.base);
  }

  /** Start the second worker. It is a help and no more: without it, the first one does all. */
  private async startSecond(): Promise<void> {
    let worker: ModelWorker | null = null;
    try {
      await this.start();
      const [catalogue, { files }] = await this.given;
      worker = new ModelWorker(this.worker, () => {}, (message) => this.endSecond(worker, message));
      await worker.ask({ kind: "start", base: this.base, files, catalogue, second: true });
      this.second = worker;
      this.giveOut();
    } catch (error) {
      this.endSecond(worker, String(error));
    }
  }

  private endSecond(worker: ModelWorker | null, message: string): void {
    this.second = null;
    this.ofSecond = null;
    worker?.end(message);
  }

  /** A decode by the second worker; before, its image is made known to it by what the first one has computed of it. */
  private async decodeBeside(second: ModelWorker, request: Request): Promise<Answer> {
    const { image: id } = request, size = this.sizes.get(id)!;
    if (this.ofSecond !== id) {
      this.ofSecond = null;
      const { tensors } = await this.ask({ kind: "embed", id });
      await second.ask({ kind: "embedded", id, ...size, tensors }, tensors);
      if (this.sizes.get(id) === size) this.ofSecond = id; // else another image has this name now
    }
    return second.ask({ kind: "decode", request });
  }

  private async ask(question: Question): Promise<Answer> {
    await this.start();
    return this.first!.ask(question);
  }

  private fail(message: string): void {
    this.failed = true;
    this.tell(STRINGS.failed(message), null);
    this.first?.end(message);
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
      const data = this.read.get(file) ?? this.file(file).then((blob) => blob.arrayBuffer()).then((buffer) => fromHalf(new Uint16Array(buffer)));
      this.read.set(file, data);
      tensors[name] = { dims, data: (await data).slice() } satisfies Tensor;
    };
    await Promise.all(outputs.map(read));
    return { tensors, provenance: "stored", milliseconds: performance.now() - started };
  }
}
