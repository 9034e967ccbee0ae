// The tiny model, or its quick decoder, in a worker: onnxruntime-web's WASM build on one thread.
import * as ort from "./ort.wasm.bundle.min.mjs";
import { GATES, SIZES } from "../generated";
import { fromHalf } from "../half_floats";
import { inputSize, preprocess } from "../images";
import { STRINGS } from "../strings";
import type { Catalogue, Intervention, Pixels, Prompts, Request, Source, Tensor, Tensors } from "../types";
import { type Asked, type Files, type Reply, type Start } from "./messages";

type Feeds = Record<string, ort.Tensor>;

const send = (reply: Reply, transfer: Transferable[] = []) => self.postMessage(reply, { transfer });

/** The quick decoder for one image. What the image alone decides are weights of its graphs, which are therefore made for
 * each image: as inputs, so much would be copied for each decode. */
interface Quick {
  image: string;
  decoder: ort.InferenceSession;
  /** What makes more out of the decoder's outputs: the masks; and in the first worker the image tokens. */
  behind: ort.InferenceSession[];
  /** How many image tokens, and how many numbers each. */
  sizes: readonly number[];
  /** What of it the decoder with every gate takes too. */
  ofImage: Feeds;
}

let encoder: ort.InferenceSession;
/** Computes what an image alone decides out of its embedding. */
let behindEncoder: ort.InferenceSession;
/** What the grid alone decides. */
let positions: Feeds = {};
/** Makes the quick decoder for an image. */
let makeQuick: (image: string, given: Feeds) => Promise<Quick>;
let quick: Quick | null = null;
/** The decoder with every gate and tensor, made when one is asked for that the quick one lacks. */
let whole: () => Promise<ort.InferenceSession>;
let catalogue: Catalogue;
let means: Record<string, Tensor> = {};
/** The second worker has sizes alone. */
const images = new Map<string, Pixels | { width: number; height: number }>();
const embedded = new Map<string, ort.Tensor>();
const kept = new Map<string, Tensors>();
const MOST_KEPT = 4;
const MOST_EMBEDDED = 4;

// One question at a time: the runtime is not reentrant.
let queue: Promise<unknown> = Promise.resolve();
self.onmessage = ({ data }: MessageEvent<Asked>) => {
  queue = queue.then(() => answer(data)).catch((error: unknown) => {
    send({ kind: "failed", number: data.number, message: error instanceof Error ? error.message : String(error) });
  });
};

async function answer(asked: Asked): Promise<void> {
  if (asked.kind === "start") {
    await start(asked);
    send({ kind: "done", number: asked.number, answer: null });
  } else if (asked.kind === "image") {
    images.set(asked.id, asked.pixels);
    await forget(asked.id);
    send({ kind: "done", number: asked.number, answer: null });
  } else if (asked.kind === "embedded") {
    await forget(asked.id);
    images.set(asked.id, { width: asked.width, height: asked.height });
    const feeds = Object.entries(asked.tensors).map(([name, { dims, data }]): [string, ort.Tensor] => [name, new ort.Tensor("float32", data, dims)]);
    await quickFor(asked.id, async () => Object.fromEntries(feeds));
    send({ kind: "done", number: asked.number, answer: null });
  } else if (asked.kind === "prepare") {
    await quickFor(asked.id);
    send({ kind: "done", number: asked.number, answer: null });
  } else {
    const started = performance.now();
    const tensors = asked.kind === "embed" ? { ...copied(forQuick(positions)), ...plain(await ofImage(asked.id)) } : await decode(asked.request);
    const milliseconds = performance.now() - started;
    send(
      { kind: "done", number: asked.number, answer: { tensors, provenance: "now", milliseconds } },
      Object.values(tensors).map((tensor) => tensor.data.buffer as ArrayBuffer),
    );
  }
}

/** An image of this name is another one now, or not needed. */
async function forget(id: string): Promise<void> {
  drop(id);
  if (quick?.image === id) await release();
  for (const key of kept.keys()) if (key.includes(`"image":${JSON.stringify(id)}`)) kept.delete(key);
}

function copied(feeds: Feeds): Tensors {
  return Object.fromEntries(Object.entries(feeds).map(([name, { dims, data }]) => [name, { dims: [...dims], data: new Float32Array(data as Float32Array) }]));
}

// --- Loading ---

async function start({ base, files, second, ...given }: Start): Promise<void> {
  catalogue = given.catalogue;
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { wasm: new URL("ort-wasm-simd-threaded.wasm", base).href };
  const ofBoth = [files.quick, files.masks, files.weights, files.means];
  const ofFirst = [files.encoder, files.encoder_weights, files.positions, files.of_image, files.image_tokens, files.decoder];
  const names = [...ofBoth, ...(second ? [] : ofFirst)];
  const total = names.reduce((sum, name) => sum + files.sizes[name]!, 0);
  let loaded = 0;
  const progress = (bytes: number) => {
    loaded += bytes;
    send({ kind: "status", loaded, total, step: "files" });
  };
  const loads = Object.fromEntries(names.map((name) => [name, fetched(new URL(name, base).href, name, files, progress)]));
  const all = Promise.all(Object.values(loads));
  all.then(() => send({ kind: "status", loaded: total, total, step: "model" })).catch(() => {}); // who awaits one hears of it
  // Without packed weights: graphs are sooner ready and smaller, and no slower. But for the whole decoder's they are
  // optimised already.
  const options = (externalData: ort.InferenceSession.SessionOptions["externalData"], isOptimised = true): ort.InferenceSession.SessionOptions => ({
    executionProviders: ["wasm"], graphOptimizationLevel: isOptimised ? "disabled" : "all",
    extra: { session: { disable_prepacking: "1" } }, externalData,
  });
  // The runtime starts with the first graph, while the other files arrive.
  if (!second) {
    const data = expanded(await loads[files.encoder_weights]!, files.halves[files.encoder_weights]!);
    encoder = await ort.InferenceSession.create(await loads[files.encoder]!, options([{ path: files.encoder_weights, data }]));
    free({ data });
  }
  await all;
  means = unpacked(await loads[files.means]!);
  // Until they are wanted again, the weights wait outside of the worker's memory.
  const stored = new Blob([await loads[files.weights]!]);
  const weights = async () => {
    const data = expanded(new Uint8Array(await stored.arrayBuffer()), files.halves[files.weights]!);
    return { path: files.weights, data };
  };
  const graphs: [Uint8Array, ...Uint8Array[]] = [await loads[files.quick]!, await loads[files.masks]!];
  if (!second) {
    graphs.push(await loads[files.image_tokens]!);
    const own = await weights(), session = await ort.InferenceSession.create(await loads[files.positions]!, options([own]));
    positions = (await session.run({})) as Feeds;
    await session.release();
    behindEncoder = await ort.InferenceSession.create(await loads[files.of_image]!, options([own]));
    free(own);
  }
  makeQuick = async (image, given) => {
    const own = await weights(), all = { ...forQuick(positions), ...given };
    const external = Object.entries(all).map(([path, { data }]) => ({ path, data: bytes(data as Float32Array) }));
    const made: ort.InferenceSession[] = [];
    for (const graph of graphs) made.push(await ort.InferenceSession.create(graph, options([own, ...external])));
    free(own);
    const [decoder, ...behind] = made, onlyForQuick = forQuick(given), ofImage: Feeds = {};
    for (const [name, tensor] of Object.entries(given)) {
      if (second || name in onlyForQuick) free({ data: tensor.data as Float32Array });
      else ofImage[name] = tensor;
    }
    return { image, decoder: decoder!, behind, sizes: given.image_tokens!.dims.slice(1), ofImage };
  };
  if (second) return;
  const graph = await loads[files.decoder]!;
  const create = async () => {
    const own = await weights(), session = await ort.InferenceSession.create(graph, options([own], false));
    free(own);
    return session;
  };
  let session: Promise<ort.InferenceSession> | null = null;
  whole = () => (session ??= create());
}

/** Of what image and grid alone decide, what only the quick decoder and what is behind it take. */
function forQuick(feeds: Feeds): Feeds {
  return Object.fromEntries(Object.entries(feeds).filter(([name]) => name.startsWith("of_")));
}

/** Weights as graphs expect them, from a file in which half floats stand first. */
function expanded(file: Uint8Array<ArrayBuffer>, halves: number): Uint8Array<ArrayBuffer> {
  const given = new Uint16Array(file.buffer, file.byteOffset, halves), rest = file.subarray(2 * halves);
  const out = new Uint8Array(4 * halves + rest.length), floats = new Float32Array(out.buffer, 0, halves);
  const table = fromHalf(Uint16Array.from({ length: 2 ** 16 }, (_, half) => half)); // sooner than each on its own
  for (let i = 0; i < halves; i++) floats[i] = table[given[i]!]!;
  out.set(rest, 4 * halves);
  return out;
}

function bytes({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** A file with its hash checked; one more try where it does not arrive whole. */
async function fetched(
  url: string, name: string, files: Files, progress: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  let problem = "";
  for (let attempt = 0; attempt < 2; attempt++) {
    let read = 0;
    try {
      const response = await fetch(url, attempt ? { cache: "reload" } : {});
      if (!response.ok || !response.body) throw new Error(STRINGS.fileMissing(name, response.status));
      const chunks: Uint8Array<ArrayBuffer>[] = [];
      const reader = response.body.getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        chunks.push(part.value);
        read += part.value.length;
        progress(part.value.length);
      }
      const bytes = new Uint8Array(await new Blob(chunks).arrayBuffer());
      // Only pages on https or on this machine can compute hashes.
      if (self.crypto?.subtle) {
        const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
        const hash = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
        if (hash !== files.hashes[name]) throw new Error(STRINGS.fileDamaged(name));
      }
      return bytes;
    } catch (error) {
      progress(-read);
      problem = error instanceof Error ? error.message : String(error);
    }
  }
  throw new Error(problem);
}

/** Named tensors in one file: the length of a JSON header, the header, the numbers. */
function unpacked(bytes: Uint8Array): Record<string, Tensor> {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const length = view.getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length))) as Record<string, number[]>;
  const found: Record<string, Tensor> = {};
  let at = 4 + length;
  for (const [name, dims] of Object.entries(header)) {
    const size = dims.reduce((a, b) => a * b, 1);
    found[name] = { dims, data: new Float32Array(bytes.slice(at, at + 4 * size).buffer) };
    at += 4 * size;
  }
  return found;
}

// --- Computing ---

async function embedding(id: string): Promise<ort.Tensor> {
  const known = embedded.get(id);
  if (known) {
    embedded.delete(id); // the one that was used last goes last
    embedded.set(id, known);
    return known;
  }
  const pixels = images.get(id);
  if (!pixels || !("rgb" in pixels)) throw new Error(STRINGS.noImage(id));
  const { frame } = catalogue;
  const image = new ort.Tensor("float32", preprocess(pixels, frame), [1, 3, frame, frame]);
  const [output] = Object.values(await run(encoder, { image }, [...encoder.outputNames]));
  embedded.set(id, output!);
  if (embedded.size > MOST_EMBEDDED) drop(embedded.keys().next().value!);
  return output!;
}

/** What was computed of an image is not kept. */
function drop(id: string): void {
  const tensor = embedded.get(id);
  if (tensor) free({ data: tensor.data as Float32Array });
  embedded.delete(id);
}

/** What an image alone decides. */
async function ofImage(id: string): Promise<Feeds> {
  return run(behindEncoder, { image_embedding: await embedding(id), ...positions }, [...behindEncoder.outputNames]);
}

/** The quick decoder for an image; another image's is given up before, as both at once would take too much memory. */
async function quickFor(id: string, given = ofImage): Promise<Quick> {
  if (quick?.image === id) return quick;
  await release();
  return (quick = await makeQuick(id, await given(id)));
}

async function release(): Promise<void> {
  for (const session of quick ? [quick.decoder, ...quick.behind] : []) await session.release();
  quick = null;
}

/** The channels, and the name of what the quick decoder has in their place: positions as rows. */
const CHANNELS = "output_upscaling.activated_twice", BY_POSITION = `${CHANNELS}.by_position`;

/** The channels as means over each image token's pixels; what is asked for with them is of the quick decoder. */
const PER_IMAGE_TOKEN = `${CHANNELS}.per_image_token`;

/** What the image alone decides, and no decoder puts out. */
const OF_IMAGE = "src";

/** The attentions of step (4). */
const STEP_4 = Object.keys(GATES).flatMap((point) => (point.endsWith("image_to_token.out") ? [point.slice(0, -".out".length)] : []));

/** Behind the path of one: what it adds to the image tokens in the quick decoder, weights^T rows, with a row for each
 * head and token and one for the bias. */
const ADDED = [".added.weights", ".added.rows"] as const;
/** Inputs for such a sum from elsewhere. */
const OTHERS = [".others.weights", ".others.rows"] as const;

/** The name of the output, of the quick decoder or of what is behind it, that a tensor is or is made of; null where
 * there is none. */
function inQuick(name: string): string | null {
  if (name === CHANNELS || name === PER_IMAGE_TOKEN) return BY_POSITION;
  const isThere = (one: string) => [quick!.decoder, ...quick!.behind].some(({ outputNames }) => outputNames.includes(one));
  return [name, `${name}.turned`].find(isThere) ?? null;
}

async function decode({ image, prompts, interventions, outputs: asked }: Request): Promise<Tensors> {
  const outputs = asked.filter((name) => name !== OF_IMAGE);
  const tensors = outputs.length ? await decoded(image, prompts, interventions, outputs) : {};
  if (asked.includes(OF_IMAGE)) tensors[OF_IMAGE] = asMap((await quickFor(image)).ofImage.image_tokens!);
  return tensors;
}

async function decoded(image: string, prompts: Prompts, interventions: Intervention[], outputs: string[]): Promise<Tensors> {
  const { decoder, sizes } = await quickFor(image);
  const isQuick = outputs.every(inQuick) && interventions.every(({ point }) => decoder.inputNames.includes(`${point}.gate`));
  const gates = await gateFeeds(interventions, tokenCount(prompts), isQuick ? sizes : null);
  const feeds = { ...promptFeeds(image, prompts), ...gates };
  // What the gates took from another image has put its decoder into the place of this one's.
  const now = await quickFor(image);
  if (isQuick) return fromQuick(now, outputs, feeds);
  return plain(await run(await whole(), { ...positions, ...now.ofImage, ...feeds }, outputs));
}

/** The outputs of these names, from those of the feeds that the graph takes. */
async function run(session: ort.InferenceSession, feeds: Feeds, names: string[]): Promise<Feeds> {
  const taken = Object.entries(feeds).filter(([name]) => session.inputNames.includes(name));
  return (await session.run(Object.fromEntries(taken), names)) as Feeds;
}

function plain(found: Feeds): Tensors {
  return Object.fromEntries(Object.entries(found).map(([name, { dims, data }]) => [name, { dims: [...dims], data: data as Float32Array }]));
}

/** The tensors of these names, by way of the quick decoder. */
async function fromQuick({ decoder, behind }: Quick, names: string[], feeds: Feeds): Promise<Tensors> {
  const outputs = [...new Set(names.map((name) => inQuick(name)!))];
  const after = behind.map((session) => ({ session, wanted: outputs.filter((name) => session.outputNames.includes(name)) }));
  const needed = after.flatMap(({ session, wanted }) => (wanted.length ? session.inputNames : []));
  const ofQuick = decoder.outputNames.filter((name) => outputs.includes(name) || needed.includes(name));
  let found = await run(decoder, feeds, ofQuick);
  for (const { session, wanted } of after) {
    if (wanted.length) found = { ...found, ...(await run(session, { ...feeds, ...found }, wanted)) };
  }
  const all = plain(found);
  const tensors = Object.fromEntries(names.map((name) => {
    if (name === PER_IMAGE_TOKEN) return [name, meansOfRows(all[BY_POSITION]!)];
    if (name === CHANNELS) return [name, channelsFirst(all[BY_POSITION]!)];
    return [name, all[name] ?? turned(all[`${name}.turned`]!)];
  }));
  for (const [name, tensor] of Object.entries(all)) if (!(name in tensors)) free(tensor);
  return tensors;
}

/** Give a tensor's memory back now: a worker's garbage is collected late. */
function free({ data }: { data: ArrayBufferView }): void {
  (data.buffer as ArrayBuffer & { transfer?: (size: number) => void }).transfer?.(0); // not in older browsers
}

/** With the last two axes in the other order. */
function turned({ dims, data }: Tensor): Tensor {
  const [rows, columns] = dims.slice(-2) as [number, number], out = new Float32Array(data.length);
  for (let start = 0; start < data.length; start += rows * columns) {
    for (let row = 0, from = start; row < rows; row++) {
      for (let at = start + row; at < start + rows * columns; at += rows) out[at] = data[from++]!;
    }
  }
  return { dims: [...dims.slice(0, -2), columns, rows], data: out };
}

/** The means over each image token's 16 rows, as (1, channel, height, width). */
function meansOfRows({ dims, data }: Tensor): Tensor {
  const { grid } = catalogue, channels = dims[1]!, positions = grid * grid;
  const out = new Float32Array(channels * positions);
  const sums = new Float32Array(channels);
  for (let position = 0, from = 0; position < positions; position++) {
    sums.fill(0);
    for (let row = 0; row < 16; row++) {
      for (let c = 0; c < channels; c++) sums[c]! += data[from++]!;
    }
    for (let c = 0, at = position; c < channels; c++, at += positions) out[at] = sums[c]! / 16;
  }
  return { dims: [1, channels, grid, grid], data: out };
}

/** From rows for (y, x, dy, dx, dy, dx) to (1, channel, height, width). */
function channelsFirst({ dims, data }: Tensor): Tensor {
  const rows = catalogue.grid, columns = catalogue.grid, channels = dims[1]!;
  const width = 4 * columns, out = new Float32Array(data.length);
  // The bits of `inner`: dy and dx of the first doubling, dy and dx of the second.
  const places = Array.from({ length: 16 }, (_, inner) => {
    const row = 2 * (inner >> 3) + ((inner >> 1) & 1), column = 2 * ((inner >> 2) & 1) + (inner & 1);
    return row * width + column;
  });
  for (let y = 0; y < rows; y++) {
    // A row of image tokens fits into the processor's cache, all maps do not.
    for (let c = 0; c < channels; c++) {
      let from = 16 * columns * channels * y + c;
      for (let x = 0, at = (c * 4 * rows + 4 * y) * width; x < columns; x++, at += 4) {
        for (let inner = 0; inner < 16; inner++, from += channels) out[at + places[inner]!] = data[from]!;
      }
    }
  }
  return { dims: [1, channels, 4 * rows, width], data: out };
}

/** From (1, image_tokens, dim) to (1, dim, height, width). */
function asMap({ dims, data }: ort.Tensor): Tensor {
  const [, positions, dim] = dims as [number, number, number], out = new Float32Array(data.length);
  const rows = data as Float32Array;
  for (let position = 0, i = 0; position < positions; position++) {
    for (let channel = 0; channel < dim; channel++) out[channel * positions + position] = rows[i++]!;
  }
  return { dims: [1, dim, catalogue.grid, catalogue.grid], data: out };
}

function tokenCount(prompts: Prompts): number {
  return 5 + prompts.points.length + (prompts.box ? 2 : 1);
}

/** Clicks, then padding or the box's corners, in the model's frame. */
function promptFeeds(image: string, { points, box }: Prompts): Feeds {
  const { width, height } = images.get(image)!;
  const [w, h] = inputSize(width, height, catalogue.frame);
  const coords = points.flatMap(([x, y]) => [(x * w) / width, (y * h) / height]);
  const labels = points.map(([, , label]) => label);
  if (box) {
    coords.push((box[0] * w) / width, (box[1] * h) / height, (box[2] * w) / width, (box[3] * h) / height);
    labels.push(2, 3);
  } else {
    coords.push(0, 0);
    labels.push(-1);
  }
  return {
    points: new ort.Tensor("float32", Float32Array.from(coords), [1, labels.length, 2]),
    labels: new ort.Tensor("float32", Float32Array.from(labels), [1, labels.length]),
  };
}

/** Two inputs per gate: 1 and 0 where nothing is replaced. For the quick decoder the sizes of the image tokens are given;
 * what it adds from elsewhere in a step (4) is a sum, and has inputs of its own. */
async function gateFeeds(interventions: Intervention[], tokens: number, sizes: readonly number[] | null): Promise<Feeds> {
  const feeds: Feeds = {};
  for (const [point, { axes, switched }] of Object.entries(GATES)) {
    const dims = axes.map((axis) => (switched.includes(axis) ? (SIZES[axis] ?? tokens) : 1));
    const gate = new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(1);
    let value: Tensor = { dims: axes.map(() => 1), data: new Float32Array(1) };
    for (const intervention of interventions.filter((one) => one.point === point)) {
      const closed = close(gate, dims, axes, intervention);
      const by = sizes && isSum(intervention) ? null : await replacement(intervention, tokens);
      if (by) value = placed(value, by, closed, dims);
    }
    feeds[`${point}.gate`] = new ort.Tensor("float32", gate, dims);
    feeds[`${point}.value`] = new ort.Tensor("float32", value.data, value.dims);
  }
  for (const path of sizes ? STEP_4 : []) {
    const parts = await fromElsewhere(interventions.filter((one) => isSum(one) && one.point.startsWith(path)), path, tokens);
    ADDED.forEach((part, i) => {
      feeds[path + OTHERS[i]!] = stacked(parts[part], sizes![i]!);
    });
  }
  return feeds;
}

/** Whether it puts what a step (4) adds in another decode into this one. */
function isSum({ point, how }: Intervention): boolean {
  return how === "transplant" && STEP_4.some((path) => point.startsWith(path) && /\.(heads|out)$/.test(point));
}

type Parts = Record<(typeof ADDED)[number], Tensor[]>;

/** The rows of what the step adds in other decodes: all, or those of heads; the last change of a head counts. */
async function fromElsewhere(changes: Intervention[], path: string, tokens: number): Promise<Parts> {
  const parts: Parts = { ".added.weights": [], ".added.rows": [] };
  const ofOutput = changes.filter(({ point }) => point.endsWith(".out")).at(-1);
  const heads = new Map<number, Source>();
  for (const { select, from } of ofOutput ? [] : changes) {
    for (const head of select?.heads ?? Array.from({ length: SIZES.heads! }, (_, i) => i)) heads.set(head, from!);
  }
  for (const part of ADDED) {
    if (ofOutput) parts[part].push(await sourceTensor(ofOutput.from!, path + part, tokens));
    for (const [head, source] of heads) {
      const { dims: [, width], data } = await sourceTensor(source, path + part, tokens);
      const size = tokens * width!;
      parts[part].push({ dims: [tokens, width!], data: data.subarray(head * size, (head + 1) * size) });
    }
  }
  return parts;
}

/** Tensors of rows as one; none is a tensor without rows. */
function stacked(parts: Tensor[], width: number): ort.Tensor {
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return new ort.Tensor("float32", data, [data.length / width, width]);
}

/** Close the switches that an intervention selects; returns 1 for each of them, 0 for the others. */
function close(gate: Float32Array, dims: number[], axes: string[], { select = {} }: Intervention): Float32Array {
  const closed = new Float32Array(gate.length);
  for (let i = 0; i < gate.length; i++) {
    let rest = i;
    let selected = true;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      const index = rest % dims[axis]!;
      rest = (rest - index) / dims[axis]!;
      const wanted = select[axes[axis]!];
      if (wanted && !wanted.includes(index)) selected = false;
    }
    if (selected) {
      gate[i] = 0;
      closed[i] = 1;
    }
  }
  return closed;
}

/** What replaces the tensor; null for zero. */
async function replacement({ point, how, from, values }: Intervention, tokens: number): Promise<Tensor | null> {
  if (how === "zero") return null;
  if (how === "values") {
    const dims = point === "hyper_in" ? [1, 1, values!.length] : [values!.length];
    return { dims, data: Float32Array.from(values!) };
  }
  if (how === "transplant") return sourceTensor(from!, point, tokens);
  const mean = means[point];
  if (!mean) throw new Error(STRINGS.noMean(point));
  if (how === "mean" && !mean.dims.includes(tokens)) throw new Error(STRINGS.meanOfClicks);
  return { dims: [1, ...mean.dims], data: mean.data };
}

/** A replacement that is 0 where the gate is open, added to those that are there. */
function placed(value: Tensor, by: Tensor, closed: Float32Array, dims: number[]): Tensor {
  const shape = dims.map((size, i) => Math.max(size, by.dims[i]!, value.dims[i]!));
  const data = repeated(value, shape), from = repeated(by, shape), isClosed = repeated({ dims, data: closed }, shape);
  for (let i = 0; i < data.length; i++) if (isClosed[i]) data[i] = from[i]!;
  return { dims: shape, data };
}

/** A copy of a tensor's numbers, repeated along the axes of size 1 to fill the shape. */
function repeated({ dims, data }: Tensor, shape: number[]): Float32Array {
  let all = data.slice(), inner = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const times = shape[axis]! / dims[axis]!;
    if (times > 1) {
      const longer = new Float32Array(all.length * times);
      for (let start = 0; start < all.length; start += inner) {
        const part = all.subarray(start, start + inner);
        for (let i = 0; i < times; i++) longer.set(part, start * times + i * inner);
      }
      all = longer;
    }
    inner *= shape[axis]!;
  }
  return all;
}

/** A tensor of another decode with as many tokens. */
function sourceTensor(source: Source, name: string, tokens: number): Promise<Tensor> {
  const others = tokenCount(source.prompts);
  if (others !== tokens) throw new Error(STRINGS.otherTokens(others, tokens));
  return keptTensor(source, name);
}

/** A tensor of another decode; a few decodes are kept. */
async function keptTensor(source: Source, name: string): Promise<Tensor> {
  const key = JSON.stringify({ image: source.image, prompts: source.prompts });
  let tensors = kept.get(key);
  if (!tensors?.[name]) {
    // What the next switch may ask for is taken along: of keys and values both, else what heads and units put out.
    const [attention, kind] = [name.slice(0, name.lastIndexOf(".")), name.slice(name.lastIndexOf("."))];
    const outputs = /^\.[kv]$/.test(kind) ? [`${attention}.k`, `${attention}.v`] : inQuick(name) ? [...new Set([name, ...ALONG])] : [name];
    tensors = { ...tensors, ...(await decode({ ...source, interventions: [], outputs })) };
    kept.set(key, tensors);
    if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value!);
  }
  return tensors[name]!;
}

/** What is taken along: what heads and units put out for tokens, and what step (4) adds to image tokens. */
const ALONG = [
  ...Object.keys(GATES).filter((point) => /\.(heads|hidden)$/.test(point) && !STEP_4.some((path) => point.startsWith(path))),
  ...STEP_4.flatMap((path) => ADDED.map((part) => path + part)),
];
