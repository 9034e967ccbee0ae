"""CapturedDecoder: a decode recorded once as a CUDA graph and replayed, for inputs that keep their shapes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sam_edu.fast.changes import change_of
from sam_edu.fast.fast_mask_decoder import FastMaskDecoder


class CapturedDecoder:
    """A `FastMaskDecoder` as a CUDA graph: one launch in place of one for each kernel.

    For a small decode, where a GPU mostly waits for launches. Nothing is kept from before the capture: the graph
    computes everything from the inputs and from the weights, where these lie in memory. So weights may be changed in
    place; weights that are moved or replaced, and hooks or layers that are added, are refused at the next call.

    Args:
        fast: the decoder.
        inputs: the arguments of its `forward` by name: an example with the shapes of all later calls.

    Raises:
        ValueError: inputs that are not on a CUDA device, or a decoder that was changed (`sam_edu.fast.changes`).
    """

    def __init__(self, fast: FastMaskDecoder, **inputs: Any) -> None:
        image = inputs["image_embeddings"]
        if not _is_cuda(image):
            raise ValueError(
                f"inputs: a CUDA graph records what a CUDA device does, got tensors on {image.device.type}; there call"
                " the fast decoder itself"
            )
        if change := change_of(fast.decoder):
            raise ValueError(f"fast: {change}, which a graph cannot follow; call the fast decoder itself")
        self.fast = fast
        self._inputs = {name: _own(value) for name, value in inputs.items()}
        self._weights = self._addresses()
        self._replay, self._outputs = _record(lambda: fast(**self._inputs), image.device)

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
        change = change_of(self.fast.decoder)
        if change or self._weights != self._addresses():
            reason = change or "the weights lie elsewhere in memory"
            raise ValueError(f"fast: since the capture {reason}; capture another graph")
        for name, own in self._inputs.items():
            if isinstance(own, Tensor):
                _core(own).copy_(_core(inputs[name]))
        self._replay()
        masks, iou = self._outputs
        return masks.clone(), iou.clone()

    def _addresses(self) -> list[int]:
        return [parameter.data_ptr() for parameter in self.fast.decoder.parameters()]


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
