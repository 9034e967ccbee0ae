"""What the parity tests share: pairs of modules, random configurations and inputs, and the named assertions.

Every pair has its parameters and buffers perturbed first: a LayerNorm's initial ones and zeros would hide that its
weights are not used, or that they are used at the wrong step.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sam_edu import modules, official

EXAMPLES = 200  # of hypothesis, per property and dtype

# The tolerances of the project, written here a second time: the code under test does not set its own.
FORWARD_TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-12}
GRADIENT_TOLERANCE = 1e-5
GRADIENT_NOISE = 1e-7  # of the largest parameter gradient's norm: k_proj.bias has a gradient of zero

DTYPES = (torch.float32, torch.float64)


# --- Pairs: ours and Meta's with the same, perturbed weights ---


def perturb(module: nn.Module, seed: int) -> nn.Module:
    """Add noise to every parameter and buffer, in place: a tenth of its size, or 0.1 where it is zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in chain(module.parameters(), module.buffers()):
            size = tensor.double().pow(2).mean().sqrt().item() or 1.0
            tensor += 0.1 * size * torch.randn(tensor.shape, generator=generator, dtype=torch.float64).to(tensor.dtype)
    return module


def make_pair(
    name: str, seed: int = 0, dtype: torch.dtype = torch.float32, **configuration: Any
) -> tuple[nn.Module, nn.Module]:
    """Ours and Meta's module of one name, built from the same arguments, with the same perturbed weights.

    A decoder's `transformer` is given as the arguments of a `TwoWayTransformer`.
    """

    def build(class_of: Any) -> nn.Module:
        arguments = dict(configuration)
        if name == "MaskDecoder":
            arguments["transformer"] = class_of("TwoWayTransformer")(**arguments["transformer"])
        return class_of(name)(**arguments)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = perturb(build(official.official_class), seed).to(dtype)
        ours = build(lambda name: getattr(modules, name)).to(dtype)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


FULL_SIZE = {
    "transformer_dim": 256,
    "transformer": {"depth": 2, "embedding_dim": 256, "num_heads": 8, "mlp_dim": 2048},
}
TINY = {
    "transformer_dim": 16,
    "transformer": {"depth": 2, "embedding_dim": 16, "num_heads": 2, "mlp_dim": 24},
    "iou_head_hidden_dim": 12,
}


def randoms(seed: int, dtype: torch.dtype = torch.float32) -> Any:
    """A function from sizes to a normally distributed tensor."""
    generator = torch.Generator().manual_seed(seed)
    return lambda *sizes: torch.randn(*sizes, generator=generator, dtype=torch.float64).to(dtype)


def decoder_inputs(
    dim: int = 16,
    batch: int = 2,
    tokens: int = 3,
    grid: tuple[int, int] = (3, 4),
    images: int = 1,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    multimask_output: bool = True,
) -> dict[str, Any]:
    """Arguments of a mask decoder by name."""
    random = randoms(seed, dtype)
    return {
        "image_embeddings": random(images, dim, *grid),
        "image_pe": random(1, dim, *grid),
        "sparse_prompt_embeddings": random(batch, tokens, dim),
        "dense_prompt_embeddings": random(batch, dim, *grid),
        "multimask_output": multimask_output,
    }


# --- Random configurations ---

seeds = st.integers(0, 2**31)
grids = st.tuples(st.integers(1, 5), st.integers(1, 5))
batches = st.integers(1, 3)
lengths = st.integers(1, 9)
activations = st.sampled_from([nn.ReLU, nn.GELU, nn.SiLU])


@st.composite
def attention_configurations(draw: Any) -> dict[str, int]:
    """Also widths that the downsampling does not divide."""
    heads, rate = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    internal = heads * draw(st.integers(1, 4))
    return {
        "embedding_dim": internal * rate + draw(st.integers(0, rate - 1)),
        "num_heads": heads,
        "downsample_rate": rate,
    }


@st.composite
def transformer_configurations(draw: Any, least_dim: int = 1) -> dict[str, Any]:
    heads, rate = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    least = -(-least_dim // (heads * rate))
    return {
        "depth": draw(st.integers(0, 3)),
        "embedding_dim": heads * rate * draw(st.integers(least, least + 3)),
        "num_heads": heads,
        "mlp_dim": draw(st.integers(1, 12)),
        "activation": draw(activations),
        "attention_downsample_rate": rate,
    }


@st.composite
def decoder_configurations(draw: Any) -> dict[str, Any]:
    transformer = draw(transformer_configurations(least_dim=8))
    return {
        "transformer_dim": transformer["embedding_dim"],
        "transformer": transformer,
        "num_multimask_outputs": draw(st.integers(1, 5)),
        "activation": draw(activations),
        "iou_head_depth": draw(st.integers(1, 4)),
        "iou_head_hidden_dim": draw(st.integers(1, 12)),
    }


# --- Assertions ---


def assert_close(name: str, ours: Tensor, reference: Tensor) -> None:
    """The same dtype, shape and, within the tolerance of its dtype, values.

    Raises:
        AssertionError: otherwise.
    """
    assert ours.dtype == reference.dtype, f"{name}: {ours.dtype} instead of {reference.dtype}"
    assert ours.shape == reference.shape, f"{name}: shape {tuple(ours.shape)} instead of {tuple(reference.shape)}"
    if reference.numel() == 0:
        return
    difference = (ours - reference).abs().max().item()
    largest = reference.abs().max().item()
    allowed = FORWARD_TOLERANCE[reference.dtype] * max(1.0, largest)
    assert difference <= allowed, (
        f"{name}: off by {difference:.3g}, allowed {allowed:.3g} (largest value {largest:.3g})"
    )


def assert_parity_forward(ours: nn.Module, theirs: nn.Module, inputs: Mapping[str, Any]) -> None:
    """Both forwards return the same."""
    with torch.no_grad():
        expected = list(tensors(theirs(**inputs)))
        got = list(tensors(ours(**inputs)))
    assert expected, "Meta's forward returned no tensor"
    assert len(got) == len(expected)
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        assert_close(f"output {i}", a, b)


def assert_parity_gradients(ours: nn.Module, theirs: nn.Module, inputs: Mapping[str, Any]) -> None:
    """The gradients of a random projection of the outputs are the same, for every parameter and every float input."""
    expected, noise = gradients(theirs, inputs)
    got, _ = gradients(ours, inputs)
    assert expected, "nothing to differentiate"
    assert list(got) == list(expected)
    for name, reference in expected.items():
        difference = (got[name] - reference).norm().item()
        allowed = GRADIENT_TOLERANCE * reference.norm().item() + GRADIENT_NOISE * noise
        assert difference <= allowed, f"gradient of {name}: off by {difference:.3g}, allowed {allowed:.3g}"


def assert_parity_state_dict(ours: nn.Module, theirs: nn.Module) -> None:
    """The same keys in the same order, shapes and dtypes; each loads the other's strictly, without hooks."""
    expected, got = theirs.state_dict(), ours.state_dict()
    assert list(got) == list(expected)
    for key in expected:
        assert got[key].shape == expected[key].shape, key
        assert got[key].dtype == expected[key].dtype, key
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    theirs.load_state_dict(got, strict=True)
    ours.load_state_dict(expected, strict=True)
    for module in ours.modules():
        assert not module._load_state_dict_pre_hooks, "a remapping hook"
        assert not module._state_dict_hooks, "a remapping hook"


def assert_parity_trace_points(ours: nn.Module, theirs: nn.Module, inputs: Mapping[str, Any]) -> official.Comparison:
    """Every named tensor on the way is the same, and none lacks a reference in Meta's forward."""
    comparison = official.compare(ours, theirs, inputs)
    assert not comparison.missing, f"no reference for {comparison.missing}"
    assert comparison.first_divergence is None, f"first to differ: {comparison.first_divergence}\n{comparison}"
    return comparison


def assert_parity(ours: nn.Module, theirs: nn.Module, inputs: Mapping[str, Any]) -> None:
    """State dict, forward and gradients."""
    assert_parity_state_dict(ours, theirs)
    assert_parity_forward(ours, theirs, inputs)
    assert_parity_gradients(ours, theirs, inputs)


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from tensors(list(value.values()))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors(item)


def gradients(module: nn.Module, inputs: Mapping[str, Any]) -> tuple[dict[str, Tensor], float]:
    """The gradient for each parameter and each float input by name, and the largest norm of a parameter's."""
    leaves: dict[str, Tensor] = {}

    def leaf(name: str, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(leaf(f"{name}[{i}]", item) for i, item in enumerate(value))
        if isinstance(value, Tensor) and value.is_floating_point():
            leaves[name] = value.detach().clone().requires_grad_()
            return leaves[name]
        return value

    outputs = tensors(module(**{name: leaf(name, value) for name, value in inputs.items()}))
    projection = sum(
        (out * randoms(i, out.dtype)(*out.shape)).sum() for i, out in enumerate(outputs) if out.requires_grad
    )
    assert isinstance(projection, Tensor), "no output depends on a parameter or an input"
    parameters = dict(module.named_parameters())
    wanted = {**parameters, **{f"input {name}": tensor for name, tensor in leaves.items()}}
    found = torch.autograd.grad(projection, list(wanted.values()), allow_unused=True)
    by_name = {
        name: torch.zeros_like(tensor) if gradient is None else gradient
        for (name, tensor), gradient in zip(wanted.items(), found, strict=True)
    }
    return by_name, max((by_name[name].norm().item() for name in parameters), default=0.0)


class LiftToFloat64(TorchFunctionMode):
    """Replaces float32 by float64 in every call to torch.

    Meta's prompt encoder casts positions to float32 and makes its grid in float32, so that in float64 it fails on the
    product with its own matrix. With that cast lifted, its own forward is a float64 reference.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        def lift(value: Any) -> Any:
            return torch.float64 if value is torch.float32 else value

        return func(*map(lift, args), **{key: lift(value) for key, value in (kwargs or {}).items()})


class Lifted(nn.Module):
    """A module of Meta's under `LiftToFloat64`; parameters keep their names."""

    def __init__(self, theirs: nn.Module) -> None:
        super().__init__()
        self.__dict__["theirs"] = theirs

    def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["theirs"].named_parameters(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        # Also for tensors that are created without a dtype: the empty tensor of no tokens, the padding.
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            with LiftToFloat64():
                return self.__dict__["theirs"](*args, **kwargs)
        finally:
            torch.set_default_dtype(default)
