"""CapturedDecoder: a decode recorded once as a CUDA graph and replayed, for inputs that keep their shapes."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sam_edu.fast.fast_mask_decoder import FastMaskDecoder
from sam_edu.fast.fused import stack
from sam_edu.fast.kept import Identity
from sam_edu.fast.snapshot import Watch


class CapturedDecoder:
    """A `FastMaskDecoder` as a CUDA graph: one launch in place of one for each kernel.

    For a small decode, where a GPU mostly waits for launches. The graph computes everything from the inputs, from the
    weights, where these lie in memory, and from products of weights. The products are computed again in the next call
    after weights were changed in place (after changes through `.data`, which PyTorch does not count, call `refresh`).
    Weights that are moved or replaced, and hooks or layers that are added, are refused at the next call.

    Args:
        fast: the decoder.
        compiled: whether `torch.compile` joins small kernels before the capture. That takes half a minute at first, and
            a replay a fifth less time from then on (`docs/benchmarks`).
        inputs: the arguments of its `forward` by name: an example with the shapes of all later calls.

    Raises:
        ValueError: inputs that are not on a CUDA device, or a decoder that was changed (`sam_edu.fast.changes`).
    """

    def __init__(self, fast: FastMaskDecoder, *, compiled: bool = False, **inputs: Any) -> None:
        image = inputs["image_embeddings"]
        if not _is_cuda(image):
            raise ValueError(
                f"inputs: a CUDA graph records what a CUDA device does, got tensors on {image.device.type}; there call"
                " the fast decoder itself"
            )
        self._watch = Watch()
        if change := self._watch.change_of(fast.decoder):
            raise ValueError(f"fast: {change}, which a graph cannot follow; call the fast decoder itself")
        self.fast = fast
        self._inputs = {name: _own(value) for name, value in inputs.items()}
        self._weights = self._addresses()
        with torch.no_grad():
            self._stacks = stack(fast.decoder)
        self._made_from = self._identities()
        forward = torch.compile(fast.forward_with, fullgraph=True) if compiled else fast.forward_with
        self._replay, self._outputs = _record(partial(forward, self._stacks, **self._inputs), image.device)

    @torch.no_grad()
    def refresh(self) -> None:
        """Compute the products of weights again."""
        for own, new in zip(_tensors(self._stacks), _tensors(stack(self.fast.decoder)), strict=True):
            own.copy_(new)
        self._made_from = self._identities()

    @torch.no_grad()
    def __call__(self, **inputs: Any) -> tuple[Tensor, Tensor]:
        """Decode. Arguments and results are those of `MaskDecoder.forward`, by name.

        Raises:
            ValueError: inputs of other shapes, dtypes or devices than those captured, another `multimask_output`, or
                weights and modules that are not those captured.
        """
        if set(inputs) != set(self._inputs):
            raise ValueError(f"inputs: expected {', '.join(self._inputs)}, got {', '.join(inputs)}")
        for name, own in self._inputs.items():
            given = inputs[name]
            if not isinstance(own, Tensor):
                if given != own:
                    raise ValueError(f"{name}: captured with {own}, got {given}; capture another graph for it")
            elif not isinstance(given, Tensor) or _kind(given) != _kind(own):
                raise ValueError(
                    f"{name}: captured as {_described(own)}, got {_described(given)}; capture another graph for it"
                )
        change = self._watch.change_of(self.fast.decoder)
        if change or self._weights != self._addresses():
            reason = change or "the weights lie elsewhere in memory"
            raise ValueError(f"fast: since the capture {reason}; capture another graph")
        used = self._watch.stacked_parameters(self.fast.decoder)
        if not all(found is not None and found.fits(x) for found, x in zip(self._made_from, used, strict=True)):
            self.refresh()
        for name, own in self._inputs.items():
            if isinstance(own, Tensor):
                _core(own).copy_(_core(inputs[name]))
        self._replay()
        masks, iou = self._outputs
        return masks.clone(), iou.clone()

    def _identities(self) -> list[Identity | None]:
        return [Identity.of(x) for x in self._watch.stacked_parameters(self.fast.decoder)]

    def _addresses(self) -> list[int]:
        return [parameter.data_ptr() for parameter in self._watch.parameters(self.fast.decoder)]


def _tensors(tree: Any) -> Iterator[Tensor]:
    """The tensors of nested tuples and lists."""
    if isinstance(tree, Tensor):
        yield tree
    elif tree is not None:
        for part in tree:
            yield from _tensors(part)


def _is_cuda(x: Tensor) -> bool:
    return x.device.type == "cuda"


def _own(value: Any) -> Any:
    # Expanded axes stay expanded: a dense prompt that all prompt sets have in common is recognised by that.
    return _core(value.detach()).clone().expand_as(value) if isinstance(value, Tensor) else value


def _core(x: Tensor) -> Tensor:
    """A tensor without the repetitions of its expanded axes."""
    return x[
        tuple(
            slice(0, 1) if stride == 0 and size else slice(None)
            for stride, size in zip(x.stride(), x.shape, strict=True)
        )
    ]


def _kind(x: Tensor) -> tuple[Any, ...]:
    return x.shape, x.dtype, x.device, [stride == 0 for stride in x.stride()]


def _described(x: Any) -> str:
    return f"{tuple(x.shape)}, {x.dtype}, on {x.device}" if isinstance(x, Tensor) else type(x).__name__


def _record(call: Callable[[], tuple[Tensor, Tensor]], device: torch.device) -> tuple[Callable[[], None], Any]:
    """Run a call a few times, so that libraries are set up, then record it; return its replay and its outputs."""
    with torch.no_grad(), torch.cuda.device(device):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                call()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = call()
    return graph.replay, outputs
