// All words that the page shows. A translation is a copy of this file.
const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);

export const STRINGS = {
  image: "Image",
  positive: "+ point",
  negative: "− point",
  boxTool: "Box",
  follow: "Follow the pointer",
  undo: "Undo",
  clear: "Clear",
  copyLink: "Copy link",
  copyPython: "Copy as Python",
  copied: "Copied.",
  notCopied: "This browser does not allow copying. The text stands below.",
  canvasLabel:
    "The image. Arrow keys move a cursor, with Shift by ten pixels; Enter sets a point of the chosen kind there; Backspace takes the last point away.",
  cursor: (x: number, y: number) => `Cursor at x ${x}, y ${y}.`,
  promptsNow: (points: number, box: boolean) =>
    `${points} ${points === 1 ? "point" : "points"}${box ? " and a box" : ""} on the image.`,
  outside: "That is outside the image. Nothing was set.",
  tooManyPoints: "20 points are the most that can be set here.",
  noPrompt: "Set a point or draw a box to get masks.",
  maskName: (number: number) => `mask ${number}`,
  chooseMask: "Choose a mask. All panels show it.",
  byRule: "chosen: highest predicted IoU of 1 to 3",
  byRuleMany: "chosen: for several prompts",
  byYou: "chosen by you",
  intact: "Above: masks with nothing ablated.",
  trueIou: "True IoU: with the best ground-truth mask at the first point.",
  noTruth: "True IoU: no ground-truth mask is known at the first point.",
  withoutTransplant: "Above: masks without the transplant.",
  keys: "Keys: arrows move a cursor (with Shift by ten), Enter sets a point, Backspace takes the last one away, + and − choose its kind.",
  predicted: "predicted IoU",
  truth: "true IoU",
  coversOf: (share: number) => `${(100 * share).toFixed(1)} % of the image`,
  maskRole: [
    "for several prompts",
    "for one ambiguous prompt",
    "for one ambiguous prompt",
    "for one ambiguous prompt",
  ],
  computedNow: (milliseconds: number) => `computed now, ${milliseconds.toFixed(0)} ms`,
  storedHere: "computed before, loaded with the page",
  heldOut: (clicks: number, scenes: number) => `over ${clicks} held-out clicks on ${scenes} scenes`,
  choose: (number: number) => `Show mask ${number} in all panels`,
  panels: {
    masks: "Masks",
    attention: "Who looks where",
    channels: "Mixing desk",
    switches: "Switchboard",
    clicks: "Two clicks",
    own: "Your own image",
  } as Record<string, string>,
  notebook: (number: string) => `Explained in notebook ${number}`,
  computing: "Computing …",

  // Loading
  loading: (loaded: number, total: number) =>
    total ? `Loading the model: ${megabytes(loaded)} of ${megabytes(total)} MB.` : "Loading the model.",
  preparing: "The model is here and is being prepared.",
  ready: "The model is ready. It runs in this page; nothing leaves it.",
  readyPython: "Python computes.",
  failed: (message: string) => `The model could not be loaded: ${message} Reload the page to try again.`,
  workerFailed: "the browser could not start it.",
  fileMissing: (name: string, status: number) => `The file ${name} did not arrive (status ${status}).`,
  fileDamaged: (name: string) => `The file ${name} arrived damaged.`,
  noFiles:
    "This page was opened as a file. A browser loads the model only from a server: run python -m sam_edu explore, or open the page on the web.",
  noImage: (id: string) => `There is no image named ${id}.`,
  otherTokens: (theirs: number, ours: number) =>
    `The other prompt makes ${theirs} tokens and this one ${ours}. Give both as many points.`,
  noMean: (point: string) => `No mean over held-out clicks is stored for ${point}.`,
  meanOfClicks: "The stored means are those of single clicks. Set one point, without a box.",
  problem: (message: string) => `That did not work: ${message}`,

  // Masks
  masksLead:
    "Masks 1 to 3 are three answers to one ambiguous click, such as a part and the whole. Mask 0 is for prompts of several points or a box. The decoder always computes all four.",
  masksTensor: "The mask logits",
  logitAt: (x: number, y: number, logit: number) => `logit ${fixed(logit, 2)} at x ${x}, y ${y}`,
  hoverLogits: "Point at the map: the logit there. Above 0 is inside the mask.",

  // Attention
  attentionLead:
    "Each attention has 8 heads. A map shows how one token distributes its attention over the image; a head's weights sum to 1. The line is the edge of the chosen mask.",
  attentionImageLead:
    "Here the image attends to the tokens. A map shows how much each position attends to the chosen token. The line is the edge of the chosen mask.",
  attentionSelfLead:
    "Here the tokens attend to each other. A row is a token that attends, a column one that it attends to; the weights of a row sum to 1.",
  pair: (from: string, to: string) => `Weights of ${from} for ${to}, head 0 to 7`,
  hoverPair: "Point at a matrix: the weights of that pair.",
  attentionOf: "Attention",
  token: "Token",
  tokensAre:
    "The tokens: IoU (its output becomes the predicted IoU), mask 0 to 3 (the output of each becomes the weights of its mask), then those of the prompt; padding stands there where no box is given.",
  scale: "Colours",
  scaleShared: "one scale for all heads (square root)",
  scaleHead: "a scale for each head (square root)",
  head: (number: number) => `head ${number}`,
  listens: (x: number, y: number) => `What the position at x ${x}, y ${y} attends to, mean of the heads`,
  hoverImage: "Point at a map: the weights of that position.",
  weightsAt: (x: number, y: number) => `Weights of the position at x ${x}, y ${y}, head 0 to 7`,
  attentionOption: (step: string, block: number | null, kind: string) =>
    `${step} ${block === null ? "last" : `block ${block}`}: ${kind}`,
  kinds: { self: "tokens to tokens", tokens: "tokens to image", image: "image to tokens" },

  // Channels
  channelsLead:
    "A mask is a weighted sum of 32 channels, the upscaled image tokens. The weights come from the mask token, through an MLP (the hypernetwork). Move a weight, mute a channel, or sum only the first ones.",
  channelsSum: (count: number) => `Sum of the ${count} channels with the largest contribution`,
  channel: (number: number) => `channel ${number}`,
  weight: "weight",
  average: "without it, on average: IoU",
  mute: "mute",
  muted: (number: number) => `Mute channel ${number}`,
  moved: "Weights as computed",
  termsAt: (x: number, y: number, sum: number) => `The 32 terms at x ${x}, y ${y}; their sum, the logit, is ${fixed(sum, 2)}`,
  hoverTerms: "Point at the mask to see the 32 terms of that pixel.",
  showAll: "Show all 32 channels",
  showFew: "Show the first 8 channels",
  contributionIs: "The bar below a channel's name is its contribution: the mean size of its term, weight times value, over the image.",
  mutedEffect: "“On average” means",
  changed: (iou: number) => `IoU with the mask of all computed weights: ${iou.toFixed(3)}`,

  // Switches
  switchesLead:
    "Ablate a step or a head: replace its output, and see what the masks lose. Three replacements: zero; its mean over held-out clicks, on images that training never saw; or its output at a click on another image (resample).",
  switchesEffect: "Mean change of the best mask's IoU",
  oneClick: "One click is an example. What a part does on average is in the table below.",
  unchanged: "with the mask before",
  mode: { zero: "zero", mean: "mean", resample: "resample" } as Record<string, string>,
  modeLong: { zero: "zero", mean: "its mean", resample: "its output at another click" } as Record<string, string>,
  lostGained: (lost: number, gained: number) => `pixels: ${lost} lost, ${gained} gained`,
  legend: "yellow: gained, dark: lost, grey: in both",
  nothingOff: "Nothing is ablated.",
  offIn: (names: string, mode: string) => `Ablated: ${names}; replaced by ${mode}.`,
  step: (number: string, block: number | null) => `${number} ${block === null ? "" : `block ${block}`}`.trim(),
  stepKind: {
    self_attn: "self-attention of the tokens",
    cross_attn_token_to_image: "tokens attend to the image",
    mlp: "MLP",
    cross_attn_image_to_token: "image attends to the tokens",
    final_attn_token_to_image: "tokens attend to the image, last",
  } as Record<string, string>,
  singleClick: "mean and resample need exactly one point and no box, as the held-out clicks are.",
  allOn: "Ablate nothing",
  interval: (mean: number, low: number, high: number) =>
    `${signed(mean)} (${signed(low)} to ${signed(high)})`,
  heads: "heads",
  off: (name: string) => `Ablate ${name}`,
  severalOff: "For several parts at once no effect over held-out clicks is stored.",

  // Two clicks
  clicksLead:
    "Keep this prompt, then click elsewhere. From which step on do the two differ? Then take the keys and values of one attention from the kept prompt.",
  nowElsewhere: "Now click elsewhere: the next click replaces the point.",
  freeze: "Keep this prompt",
  release: "Forget the kept prompt",
  kept: (mask: number) => `Kept prompt, mask ${mask}`,
  current: (mask: number) => `This prompt, mask ${mask}`,
  withTransplant: (mask: number) => `This prompt with the transplant, mask ${mask}`,
  ofTokens: "tokens",
  ofImage: "image tokens",
  stops: "How far the two are apart after each step, without a transplant: the size of the difference, as a share of the size of this prompt's tensor",
  equal: "equal",
  transplantNone: "nothing transplanted",
  transplant: "Keys and values from the kept click in",
  transplanted: (iouOwn: number, iouOther: number) =>
    `IoU with this prompt's own mask ${iouOwn.toFixed(3)}, with the kept prompt's mask ${iouOther.toFixed(3)}`,
  differentTokens: "The two prompts make different numbers of tokens, so their tokens cannot be compared. Give both as many points.",

  // Own image
  ownLead:
    "Drop, paste or choose an image. It stays in this page. This model was trained on drawings, not on photographs: expect it to do worse there.",
  ownChoose: "Choose an image",
  ownTake: "Take a photograph",
  ownDrop: "Drop an image here, or paste one.",
  ownLoaded: (width: number, height: number) => `Your image is set, ${width} × ${height} pixels.`,
  ownExamples: "How the model does on other images",
  ownTitle: "your image",
  notAnImage: (type: string) => `This is a file of type ${type}, not an image. Choose a PNG, JPEG or WebP.`,
  brokenImage: "This file could not be read as an image. It may be damaged, or of a kind that this browser does not know.",
  tooSmall: (width: number, height: number) => `This image has ${width} × ${height} pixels. It needs at least 8 × 8.`,
  tooLarge: (width: number, height: number) =>
    `This image has ${width} × ${height} pixels. Make it smaller first: 40 megapixels are the most.`,
  noFile: "No image was found in what you dropped or pasted.",
  ownLost: "The link was made on someone's own image, which is not in the link. This is the example instead.",
  pythonImage: "the path of your image",

  // The map
  map: "Map of the decoder",
  mapStart: "click",
  mapEnd: "masks",
  block: (number: number) => `block ${number}`,
  product: "product",
  mapWords: {
    upscaling: "upscaling to 32 channels", weights: "weights of the channels", masks: "mask logits",
  } as Record<string, string>,

  stepShort: {
    self_attn: "tokens", cross_attn_token_to_image: "tokens→image", mlp: "MLP",
    cross_attn_image_to_token: "image→tokens", final_attn_token_to_image: "tokens→image",
  } as Record<string, string>,
  mapShort: { "(5)": "channels", "(6-2)": "weights", "(6-3)": "masks" } as Record<string, string>,

  // Tour
  tour: "Begin the tour",
  next: "Next",
  back: "Back",
  predictFirst: "Predict first",
  reveal: "Show it",
  stopOf: (stop: number, stops: number) => `Stop ${stop} of ${stops}`,
};

/** A number with its sign, a true minus, three digits. */
export function signed(x: number): string {
  const digits = Math.abs(x).toFixed(3);
  return `${Number(digits) === 0 ? "" : x > 0 ? "+" : "−"}${digits}`;
}

/** A number with so many digits behind the point and a true minus. */
export function fixed(x: number, digits: number): string {
  return x.toFixed(digits).replace("-", "−");
}
