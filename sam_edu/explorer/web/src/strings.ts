// All words that the page shows. A translation is a copy of this file.
const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);

export const STRINGS = {
  image: "Image",
  positive: "+ point",
  negative: "− point",
  boxTool: "Box",
  follow: "Follow",
  followLong: "Let the point follow the pointer",
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
  chooseMask: "Choose a mask; all panels show it.",
  byRule: (mask: number) => `Mask ${mask} is chosen: for one point, that of masks 1 to 3 with the highest predicted IoU.`,
  byRuleMany: (mask: number) => `Mask ${mask} is chosen: it is the one for several points or a box.`,
  bySetting: (mask: number) => `Mask ${mask} is set.`,
  intact: "Above: masks with nothing ablated.",
  trueIou: "True IoU: with the best ground-truth mask at the first point.",
  noTruth: "True IoU: no ground-truth mask is known at the first point.",
  withoutTransplant: "Above: masks without the transplant.",
  keys: "Keys: arrows move a cursor (with Shift by ten), Enter sets a point, Backspace takes the last one away, + and − choose its kind.",
  predicted: "predicted IoU",
  truth: "true IoU",
  coversOf: (share: number) => `${(100 * share).toFixed(1)} % of the image`,
  maskRole: [
    "for several points or a box",
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
  tiny: "The model is the tiny one of this series, which was trained on drawings alone.",
  ready: "The model is ready. It runs in this page; nothing leaves it.",
  readyPython: "Python computes.",
  failed: (message: string) => `The model could not be loaded: ${message} Reload the page to try again.`,
  workerFailed: "the browser could not start it.",
  notNeeded: "the second worker is not needed.",
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
    "Masks 1 to 3 are three answers to one ambiguous click, such as a part and the whole. Mask 0 is for prompts of several points or a box. The decoder always computes all four, and for each its predicted IoU: its own estimate of how well the mask fits (intersection over union; 1 is a perfect fit). For one point, the one of masks 1 to 3 with the highest predicted IoU is chosen; for several points or a box, mask 0.",
  masksTensor: "The mask logits",
  logitAt: (x: number, y: number, logit: number) => `logit ${fixed(logit, 2)} at x ${x}, y ${y}`,
  hoverLogits: "Point at the map: the logit there. Above 0 is inside the mask.",

  // Attention
  attentionLead:
    "Each attention has 8 heads. A map shows how one token distributes its attention over the 64 × 64 image tokens; a head's weights sum to 1. The values there, so weighted and summed, go through a linear layer and are added to the token. The line is the edge of the chosen mask.",
  attentionImageLead:
    "Here the image attends to the tokens. A map shows how much each position attends to the chosen token; the tokens' values, so weighted and summed, go through a linear layer and are added to the image token there. The line is the edge of the chosen mask.",
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
    "A mask is a weighted sum of 32 channels. They are the image tokens, upscaled: two transposed convolutions make 4 × 4 pixels of each token, with 32 numbers each. The weights come from the mask token, through an MLP (the hypernetwork). A term raises the logit where channel and weight have the same sign, so blue times a negative weight speaks for inside. Move a weight, mute a channel, or sum only the first ones.",
  channelsSum: (count: number) => `Sum only the channels with the largest contribution: ${count} of 32`,
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
  mutedEffect: "“Without it, on average” is the mean change of the IoU of the best of masks 1 to 3 with the target when the channel is zero, and its 95 % interval,",
  changed: (iou: number) => `IoU with the mask of all computed weights: ${iou.toFixed(3)}`,

  // Switches
  switchesLead:
    "Ablate a step or a head: replace its output, and see what the masks lose. Three replacements: zero; its mean over held-out clicks, on images that training never saw; or its output at a click on another image (resample).",
  switchesEffect: "Mean change of the IoU of the best of masks 1 to 3 with the target, and its 95 % interval",
  oneClick: "One click is an example. What a part does on average is in the table below.",
  unchanged: "with the mask before",
  mode: { zero: "zero", mean: "mean", resample: "resample" } as Record<string, string>,
  modeLong: { zero: "zero", mean: "its mean", resample: "its output at another click" } as Record<string, string>,
  lostGained: (lost: number, gained: number) => `pixels: ${lost} lost, ${gained} gained`,
  tooFewToSee: "too few to be seen at this size",
  legend: "yellow: gained; dark red: lost; dark grey: in both",
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
  interval: (mean: number, low: number, high: number): string =>
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
  streams:
    "The two streams side by side, stop by stop, without a transplant. The 64 × 64 image tokens are drawn as maps. On the right is how far the two are apart: 0 is equal, and 1 is a difference as long as the vectors themselves (for a, b: |a − b| divided by the mean of |a| and |b|).",
  stopName: (name: string, block: number | null) => (block === null ? name : `${name} block ${block}`),
  weightsOfMasks: "weights of each mask",
  tokensAfter: (step: string) => (step ? `tokens after step ${step}` : "tokens put together"),
  stopShows: (tensor: string, step: string, reader: string, mask: number): string => {
    if (tensor.endsWith(".weights")) return `what ${reader} attends to in step ${step}, mean of the heads`;
    if (tensor === "src" || tensor.endsWith("keys_4")) return "image tokens";
    if (tensor === "hyper_in") return `weights of the 32 channels for mask ${mask}`;
    return tensor === "masks" ? `logits of mask ${mask}` : "32 channels, mean over each image token's 4 × 4 pixels";
  },
  streamColours:
    "Colours of image tokens and of the channels: three directions in which those of the example vary most (PCA), one basis for all stops. Equal colours can hide a difference in other directions; the right column shows it.",
  attentionBar: "Attention (square root):",
  fieldBar: "Distance of the vectors at a position:",
  logitBar: "Logits:",
  keptShort: "kept prompt",
  currentShort: "this prompt",
  apart: "apart",
  equal: "equal",
  meanApart: (mean: number) => `mean over the positions ${fixed(mean, 2)}`,
  masksIou: (value: number) => `IoU of the two masks ${value.toFixed(3)}`,
  otherTokenCount: "another number of tokens",
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
    self_attn: "tokens read tokens", cross_attn_token_to_image: "tokens read image", mlp: "MLP",
    cross_attn_image_to_token: "image reads tokens", final_attn_token_to_image: "tokens read image",
  } as Record<string, string>,
  mapShort: { "(5)": "channels", "(6-2)": "weights", "(6-3)": "masks" } as Record<string, string>,

  // Tour
  tour: "Begin the tour",
  next: "Next",
  back: "Back",
  predictFirst: "Predict first",
  reveal: "Show it",
  foundScores: (scores: number[]) => `Three: their predicted IoU is ${scores.map((score) => score.toFixed(3)).join(", ")}.`,
  foundScore: (before: number | null, after: number) =>
    before === null
      ? `With both points it is ${after.toFixed(3)}.`
      : `It ${after < before ? "falls" : "rises"}: ${before.toFixed(3)} with the one click, ${after.toFixed(3)} with both points.`,
  foundLooks: (inside: number, area: number) =>
    `On this click, ${(100 * inside).toFixed(0)} % of the weight, mean of the heads, lies on the flower (mask 3), which covers ${(100 * area).toFixed(0)} % of the image.`,
  foundAttends: (first: [string, number, number][]) =>
    `On this click, the flower's positions give the most weight to ${first.map(([name, share, elsewhere]) => `${name} (${(100 * share).toFixed(0)} %; elsewhere it gets ${(100 * elsewhere).toFixed(0)} %)`).join(", then to ")}; mean of the heads.`,
  foundChannels: (count: number, enough: number) =>
    count ? `On this click, ${count} channels give a mask with IoU ${enough} or more with that of all 32.` : "",
  foundEffect: (mean: [number, number, number], resample: [number, number, number]) =>
    `Over the held-out clicks, the IoU of the best of masks 1 to 3 changes by ${STRINGS.interval(...mean)} with the mean in its place, and by ${STRINGS.interval(...resample)} with another click's output (95 % intervals).`,
  stopOf: (stop: number, stops: number) => `Stop ${stop} of ${stops}`,
  stops: [
    {
      title: "One click, several answers",
      question: "One click on the middle of a flower. What may it mean: its innermost disc, its middle, the whole flower? How many masks should a model return?",
      answer: "Masks 1 to 3 are three answers to the same click, each with a predicted IoU. Choose each of them below the image.",
    },
    {
      title: "The logits behind a mask",
      question: "A mask is yes or no at each pixel. What does the decoder compute there before it decides?",
      answer: "A logit: a number of any sign. Where it is above 0 the pixel belongs to the mask. Point at the map and read it.",
    },
    {
      title: "A second point",
      question: "A negative point says: not this. Will the predicted IoU of mask 0 rise or fall?",
      answer: "Mask 0 is the mask for several points or a box. Take the point away with Undo, and compare.",
    },
    {
      title: "Seven tokens",
      question: "The click has become a token, one of seven. Which tokens can it exchange something with in the first step?",
      answer: "In step (1) every token attends to every token. A row of a matrix is one token; its weights sum to 1.",
    },
    {
      title: "Tokens look at the image",
      question: "Step (2): where will the click's token look? At the clicked position alone, at the whole object, or somewhere else?",
      answer: "Read the eight maps one by one, then choose another token and compare. What heads do over many clicks is measured in the notebook.",
    },
    {
      title: "The image attends, too",
      question: "Step (4) turns it round: each position of the image attends to the tokens. To which token does the object attend most?",
      answer: "Point at a map: the bars show what that position attends to. Choose another token to see its maps.",
    },
    {
      title: "32 channels make a mask",
      question: "Each mask is a weighted sum of the same 32 channels. How many of them does it take until the mask is there?",
      answer: "The slider stands at 4: move it to 32, one by one, and watch the IoU with the whole sum.",
    },
    {
      title: "Ablate a step",
      question: "Without the step by which tokens look at the image in block 0: will the mask be lost?",
      answer: "Compare the three replacements, then read the effect over the held-out clicks: one click is an example.",
    },
    {
      title: "Two clicks",
      question: "Two clicks on the same image. After which step do the image tokens differ for the first time?",
      answer: "The tokens differ from the start, as the click is one of them. The image tokens differ first after step (4) of block 0, the first step that writes to them.",
    },
    {
      title: "Your turn",
      question: "Will it work on a photograph of yours, although this model has seen drawings alone?",
      answer: "Try it. The image stays in this page.",
    },
  ],
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
