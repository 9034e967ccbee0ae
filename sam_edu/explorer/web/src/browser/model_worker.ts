// One worker with the model, and what was asked of it.
import type { Answer, Tensors } from "../types";
import type { Asked, Question, Reply } from "./messages";

type Status = Extract<Reply, { kind: "status" }>;

export class ModelWorker {
  private readonly worker: Worker;
  private readonly open = new Map<number, { resolve: (answer: Answer) => void; reject: (error: Error) => void }>();
  private number = 0;
  private ended: string | null = null;

  constructor(address: URL, onStatus: (status: Status) => void, onError: (message: string) => void) {
    this.worker = new Worker(address, { type: "module" });
    this.worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      if (data.kind === "status") return onStatus(data);
      const waiting = this.open.get(data.number);
      this.open.delete(data.number);
      if (data.kind === "done") waiting?.resolve(data.answer!);
      else waiting?.reject(new Error(data.message));
    };
    this.worker.onerror = (event) => onError(event.message);
  }

  /** `given` is moved to the worker, not copied. */
  ask(question: Question, given: Tensors = {}): Promise<Answer> {
    const number = ++this.number;
    return new Promise((resolve, reject) => {
      if (this.ended !== null) return reject(new Error(this.ended));
      this.open.set(number, { resolve, reject });
      const buffers = Object.values(given).map(({ data }) => data.buffer as ArrayBuffer);
      this.worker.postMessage({ ...question, number } satisfies Asked, buffers);
    });
  }

  /** Nothing will be answered any more. */
  end(message: string): void {
    this.ended = message;
    for (const { reject } of this.open.values()) reject(new Error(message));
    this.open.clear();
    this.worker.terminate();
  }
}
