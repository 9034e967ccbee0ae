"""Inputs for judging answers: random tensors, modules with random weights, and a small decoder."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from sam_edu.exercises.judging import WrongAnswer, result_of
from sam_edu.modules import Attention, MaskDecoder, TwoWayTransformer

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def random(seed: int, *shape: int) -> Tensor:
    """A tensor of normally distributed numbers. It leaves torch's global random state unchanged."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def with_random_weights(make: Callable[[], AnyModule], seed: int) -> AnyModule:
    """A new module in evaluation mode, with random parameters and buffers.

    Initial values of one or zero, as a norm has them, would hide mistakes. It leaves torch's global random state
    unchanged.

    Args:
        make: makes the module.
        seed: the seed of its weights.
    """
    with torch.random.fork_rng(devices=[]):
        module = make()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in module.state_dict().values():  # these tensors share memory with the module's
            scale = 1 / math.sqrt(tensor.shape[-1]) if tensor.ndim > 1 else 1.0
            tensor.copy_(scale * torch.randn(tensor.shape, generator=generator))
    return module.eval()


def twins(
    kind: type[AnyModule], answer: Any, make: Callable[[Any], Any], seed: int, *, call: str, keep: str
) -> tuple[AnyModule, Any]:
    """The verified module with random weights, and the learner's module with the same weights.

    Args:
        kind: the verified class.
        answer: the learner's class.
        make: makes a module of a class; `lambda kind: kind(24, 2)`.
        seed: of the weights.
        call: a sentence that says how the class is called.
        keep: the parts of the verified class that the learner has to keep.

    Raises:
        NotAttempted: the class is a stub.
        WrongAnswer: it is not a class, its call fails, or its module has other parameters.
    """
    if not callable(answer):
        raise WrongAnswer(f"expected your class, not yet called, got {type(answer).__name__}.")
    module = with_random_weights(partial(make, kind), seed)
    with torch.random.fork_rng(devices=[]):
        yours = result_of(partial(make, answer), hint=call)  # of a partial, None is taken for a stub
    try:
        yours.load_state_dict(module.state_dict())
    except (RuntimeError, AttributeError) as error:
        raise WrongAnswer(f"the parameters are not those of sam_edu.{kind.__name__}: keep {keep}.") from error
    return module, yours.eval()


def small_decoder() -> tuple[MaskDecoder, dict[str, Any]]:
    """A decoder of SAM's structure and a small size, with random weights, and its inputs: two prompt sets."""

    def make() -> MaskDecoder:
        transformer = TwoWayTransformer(depth=2, embedding_dim=32, num_heads=4, mlp_dim=16)
        return MaskDecoder(transformer_dim=32, transformer=transformer)

    inputs = {
        "image_embeddings": random(1, 1, 32, 3, 4),
        "image_pe": random(2, 1, 32, 3, 4),
        "sparse_prompt_embeddings": random(3, 2, 3, 32),
        "dense_prompt_embeddings": random(4, 1, 32, 3, 4).expand(2, -1, -1, -1),
        "multimask_output": True,
    }
    return with_random_weights(make, 5), inputs


def attentions(model: Any) -> dict[str, Attention]:
    """The attention modules of a model or decoder, by their names in a trace."""
    decoder = getattr(model, "mask_decoder", model)
    return {name: module for name, module in decoder.named_modules() if isinstance(module, Attention)}
