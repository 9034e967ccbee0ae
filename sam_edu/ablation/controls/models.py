"""Control models: the same architecture without what training made of it."""

import copy
from collections.abc import Collection, Iterator

import torch
from torch import Tensor, nn

from sam_edu import checkpoints
from sam_edu.sam import Sam, build_official, build_tiny

PARTS = ("image_encoder", "prompt_encoder", "mask_decoder")


def untrained(model: Sam, *, generator: torch.Generator, parts: Collection[str] = PARTS) -> Sam:
    """A model of the same architecture with fresh random weights, as training begins.

    Question: did training make what is measured, or is it there from the start? Whatever an untrained model shows as
    well, such as attention that is nearly uniform or tokens that are alike, is a property of the architecture.

    Buffers stay the model's own: the positional encoding's random frequencies are drawn once and never trained.

    Args:
        model: a tiny one, or one of Meta's.
        generator: of the randomness, on the CPU.
        parts: whose weights are fresh; all three by default. With ("mask_decoder",) the decoder gets the trained
            encoders' embeddings.

    Raises:
        ValueError: no such part, or an architecture that `sam_edu.load` does not know.
        OfficialPackageMissingError: one of Meta's models without the package segment-anything.
    """
    name = checkpoints.recognise(model.state_dict())
    if name is None:
        raise ValueError("model: expected the tiny one or one of Meta's, got another architecture")
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = build_tiny() if name == "tiny" else build_official(name)
    values = fresh.state_dict()
    control = _beside(model)
    for path, parameter in _parameters(control, parts):
        parameter.copy_(values[path])
    return control


def reshuffled(model: Sam, *, generator: torch.Generator, parts: Collection[str] = PARTS) -> Sam:
    """A copy of a model in which the entries of every parameter tensor are permuted at random.

    Question: is it the arrangement of the weights, or only their sizes? Every tensor keeps its entries, hence its norm,
    mean and distribution, which in a trained model are far from those of fresh weights. What training arranged is gone.

    Args:
        model: any.
        generator: of the randomness, on the CPU.
        parts: whose tensors are permuted; all three by default.

    Raises:
        ValueError: no such part.
    """
    control = _beside(model)
    for _, parameter in _parameters(control, parts):
        order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
        parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return control


def _beside(model: Sam) -> Sam:
    """A copy for inference, as `sam_edu.load` gives it."""
    return copy.deepcopy(model).eval().requires_grad_(False)


def _parameters(model: nn.Module, parts: Collection[str]) -> Iterator[tuple[str, Tensor]]:
    """The parameters of some parts, with their names in the whole model."""
    wrong = [part for part in parts if part not in PARTS]
    if isinstance(parts, str) or wrong or not parts:
        raise ValueError(f"parts: expected some of {', '.join(PARTS)}, got {parts!r}")
    for path, parameter in model.named_parameters():
        if path.split(".")[0] in parts:
            yield path, parameter
