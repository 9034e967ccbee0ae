"""What several tests of ablations start from: an untrained decoder, random inputs, decodes of held-out clicks."""

import numpy as np
import torch
from torch import Tensor

from sam_edu.ablation import ATTENTIONS, BIASES, TERMS, Prompt, ReferenceRuns, References, prompts_of
from sam_edu.ablation.channels import VALUES, WEIGHTS, terms
from sam_edu.ablation.quick_decoder import AblatedDecoder, position_encodings
from sam_edu.ablation.references import decoder_inputs
from sam_edu.modules import MaskDecoder
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, build_mask_decoder
from sam_edu.tracing import Trace, trace


def make_decoder() -> MaskDecoder:
    """The official architecture with random weights, norms and biases included, so that nothing is zero or one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        decoder = build_mask_decoder().eval()
        for parameter in decoder.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
        for name in ATTENTIONS:  # sharp enough for heads to differ
            decoder.get_submodule(name).get_parameter("q_proj.weight").data *= 4
    return decoder.requires_grad_(False)


def random_inputs(seed: int, grid: int) -> dict[str, Tensor]:
    """Of one click, which gives two prompt tokens, on a grid of so many rows and columns."""
    generator = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "image_embeddings": (1, 256, grid, grid),
        "image_pe": (1, 256, grid, grid),
        "sparse_prompt_embeddings": (1, 2, 256),
        "dense_prompt_embeddings": (1, 256, grid, grid),
    }
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def traced(decoder: MaskDecoder, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """All tensors of a decode, by name."""
    with trace(decoder) as t:
        decoder.predict_masks(**inputs)
    return dict(t)


def make_references(decoder: MaskDecoder, inputs: dict[str, Tensor]) -> References:
    """Runs of other random inputs of the same grid; those on the same image have other prompts alone."""
    held_out, same_image = [], []
    for seed in range(2, 5):
        other = random_inputs(seed, inputs["image_pe"].shape[-1]) | {"image_pe": inputs["image_pe"]}
        held_out.append(_with_product(traced(decoder, other)))
        same_image.append(_with_product(traced(decoder, other | {"image_embeddings": inputs["image_embeddings"]})))
    return References(_runs(held_out), _runs(same_image), held_out[0])


def _with_product(t: dict[str, Tensor]) -> dict[str, Tensor]:
    product = terms(t[WEIGHTS], t[VALUES])
    return t | {TERMS: product, BIASES: product.mean(dim=(3, 4), keepdim=True)}


def _runs(found: list[dict[str, Tensor]]) -> ReferenceRuns:
    return ReferenceRuns({name: torch.cat([t[name] for t in found]) for name in found[0]})


def predicted(model: Sam, image: np.ndarray, click: Prompt | None, box: np.ndarray | None = None) -> Trace:
    """The predictor's own decode, of a click or of a box."""
    predictor = Predictor(model)
    predictor.set_image(image)
    with trace(model.mask_decoder) as t:
        if click is None:
            predictor.predict(box=box)
        else:
            predictor.predict([[click.x, click.y]], [1])
    return t


def decode_of_scene(model: Sam, number: int) -> AblatedDecoder:
    """The decode of the first click of a held-out scene."""
    image, _, prompts = prompts_of(number)
    predictor = Predictor(model)
    predictor.set_image(image)
    encodings = position_encodings(model.mask_decoder, model.prompt_encoder.get_dense_pe())
    return AblatedDecoder(model.mask_decoder, decoder_inputs(predictor, prompts[0]), encodings)
