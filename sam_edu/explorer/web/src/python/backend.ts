// The back-end in Python: a notebook's kernel, or the server of `python -m sam_edu explore`.
import { STRINGS } from "../strings";
import type { Answer, Backend, Catalogue, Pixels, Request, Tensors } from "../types";

/** Ask Python: a question as JSON with bytes beside it, and the same back. */
export type Ask = (question: Record<string, unknown>, bytes?: Uint8Array) => Promise<[Record<string, any>, DataView[]]>;

export class PythonBackend implements Backend {
  constructor(private readonly ask: Ask) {}

  async catalogue(): Promise<Catalogue> {
    return (await this.ask({ kind: "catalogue" }))[0] as Catalogue;
  }

  async file(name: string): Promise<Blob> {
    const [, [bytes]] = await this.ask({ kind: "file", name });
    return new Blob([bytes! as DataView<ArrayBuffer>]);
  }

  onStatus(listener: (words: string, share: number | null) => void): void {
    listener(STRINGS.readyPython, 1);
  }

  async setImage(id: string, { width, height, rgb }: Pixels): Promise<void> {
    await this.ask({ kind: "image", id, width, height }, rgb);
  }

  async decode(request: Request): Promise<Answer> {
    const [{ tensors: shapes, milliseconds }, buffers] = await this.ask({ kind: "decode", ...request });
    const tensors: Tensors = {};
    (shapes as [string, number[]][]).forEach(([name, dims], i) => {
      const { buffer, byteOffset, byteLength } = buffers[i]!;
      tensors[name] = { dims, data: new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer) };
    });
    return { tensors, provenance: "now", milliseconds };
  }
}

/** Ask over HTTP. Both ways: the length of the JSON, the JSON with the bytes' lengths in "bytes", the bytes. */
export function overHttp(address: string): Ask {
  return async (question, bytes) => {
    const header = new TextEncoder().encode(JSON.stringify({ ...question, bytes: bytes ? [bytes.length] : [] }));
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, header.length, true);
    const body = new Blob([length, header, (bytes ?? new Uint8Array()) as Uint8Array<ArrayBuffer>]);
    const response = await fetch(address, { method: "POST", body });
    const view = new DataView(await response.arrayBuffer());
    const end = 4 + view.getUint32(0, true);
    const answer = JSON.parse(new TextDecoder().decode(new Uint8Array(view.buffer, 4, end - 4))) as Record<string, any>;
    if (answer.error) throw new Error(String(answer.error));
    let at = end;
    const parts = (answer.bytes as number[]).map((size) => {
      at += size;
      return new DataView(view.buffer, at - size, size);
    });
    return [answer, parts];
  };
}
