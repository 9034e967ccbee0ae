"""The only file that knows Meta's package `segment_anything`: reach it, convert weights, compare, predict.

The package's `__init__` imports torchvision, which its modelling files do not need. They are loaded here as parts of a
private package that shares its folder, so that `import segment_anything` stays what it was, done or not done.
"""

import builtins
import html
import importlib
import importlib.machinery
import importlib.util
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sam_edu import modules
from sam_edu.modules import TracePoint

__all__ = [
    "Comparison",
    "OfficialPackageMissingError",
    "Row",
    "build_image_encoder",
    "compare",
    "from_official",
    "modeling",
    "official_class",
    "package_folder",
    "sam_predictor",
    "to_official",
    "tolerance",
]

_ALIAS = "_segment_anything_of_sam_edu"


# --- Reaching the package ---


class OfficialPackageMissingError(ImportError):
    """Meta's package is not installed."""


def package_folder() -> Path:
    """The folder of the installed package, found without importing it.

    Raises:
        OfficialPackageMissingError: it is not installed.
    """
    spec = importlib.util.find_spec("segment_anything")
    if spec is None or not spec.submodule_search_locations:
        raise OfficialPackageMissingError(
            "Meta's package segment-anything is not installed, and this part of sam_edu compares with it. "
            "Get it with: pip install segment-anything"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def modeling() -> ModuleType:
    """Meta's `segment_anything.modeling`: MaskDecoder, PromptEncoder, TwoWayTransformer, Sam, ImageEncoderViT.

    Raises:
        OfficialPackageMissingError: it is not installed.
    """
    _make_alias()
    return importlib.import_module(f"{_ALIAS}.modeling")


def official_class(name: str) -> type[nn.Module]:
    """Meta's class of the same name as one of ours, for example "Attention".

    Raises:
        ValueError: none of Meta's classes that can be converted has this name.
        OfficialPackageMissingError: Meta's package is not installed.
    """
    if name not in _FILES:
        raise ValueError(f"name: expected one of {', '.join(_FILES)}, got {name!r}")
    return getattr(getattr(modeling(), _FILES[name]), name)


def _make_alias() -> None:
    """Register an empty package whose submodules are searched for in Meta's folder."""
    if _ALIAS not in sys.modules:
        spec = importlib.machinery.ModuleSpec(_ALIAS, None, is_package=True)
        spec.submodule_search_locations = [str(package_folder())]
        sys.modules[_ALIAS] = importlib.util.module_from_spec(spec)


def _load_with(name: str, imports: Mapping[str, Any]) -> ModuleType:
    """Load a file of the package whose absolute imports named in `imports` are answered from there.

    They are answered by the file's own `__import__`, so that `sys.modules` never holds a name that is not ours.
    """
    name = f"{_ALIAS}.{name}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise OfficialPackageMissingError(f"the installed segment-anything has no file for {name}; version 1.0 does")

    def answer(wanted: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        if level == 0 and wanted in imports:
            return imports[wanted]
        return builtins.__import__(wanted, globals, locals, fromlist, level)

    module = importlib.util.module_from_spec(spec)
    vars(module)["__builtins__"] = {**vars(builtins), "__import__": answer}
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


# --- Converting ---

_FILES = {
    "MLP": "mask_decoder",
    "MLPBlock": "common",
    "LayerNorm2d": "common",
    "Attention": "transformer",
    "TwoWayAttentionBlock": "transformer",
    "TwoWayTransformer": "transformer",
    "MaskDecoder": "mask_decoder",
    "PositionEmbeddingRandom": "prompt_encoder",
    "PromptEncoder": "prompt_encoder",
}


def _downsample_rate(attention: Any) -> int:
    # Not always the number that was given, but always one that leads to the same internal width.
    return attention.embedding_dim // attention.internal_dim


def _transformer_activation(m: Any) -> type[nn.Module]:
    return type(m.layers[0].mlp.act) if len(m.layers) else nn.ReLU


# What each constructor was given, read off the module that it made: the attributes are the same on both sides.
_CONFIGURATIONS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "MLP": lambda m: {
        "input_dim": m.layers[0].in_features,
        "hidden_dim": m.layers[0].out_features,
        "output_dim": m.layers[-1].out_features,
        "num_layers": m.num_layers,
        "sigmoid_output": m.sigmoid_output,
    },
    "MLPBlock": lambda m: {
        "embedding_dim": m.lin1.in_features,
        "mlp_dim": m.lin1.out_features,
        "act": type(m.act),
    },
    "LayerNorm2d": lambda m: {"num_channels": m.weight.shape[0], "eps": m.eps},
    "Attention": lambda m: {
        "embedding_dim": m.embedding_dim,
        "num_heads": m.num_heads,
        "downsample_rate": _downsample_rate(m),
    },
    "TwoWayAttentionBlock": lambda m: {
        "embedding_dim": m.self_attn.embedding_dim,
        "num_heads": m.self_attn.num_heads,
        "mlp_dim": m.mlp.lin1.out_features,
        "activation": type(m.mlp.act),
        "attention_downsample_rate": _downsample_rate(m.cross_attn_token_to_image),
        "skip_first_layer_pe": m.skip_first_layer_pe,
    },
    "TwoWayTransformer": lambda m: {
        "depth": m.depth,
        "embedding_dim": m.embedding_dim,
        "num_heads": m.num_heads,
        "mlp_dim": m.mlp_dim,
        "activation": _transformer_activation(m),
        "attention_downsample_rate": _downsample_rate(m.final_attn_token_to_image),
    },
    "MaskDecoder": lambda m: {
        "transformer_dim": m.transformer_dim,
        "num_multimask_outputs": m.num_multimask_outputs,
        "activation": type(m.output_upscaling[2]),
        "iou_head_depth": m.iou_prediction_head.num_layers,
        "iou_head_hidden_dim": m.iou_prediction_head.layers[0].out_features,
    },
    "PositionEmbeddingRandom": lambda m: {"num_pos_feats": m.positional_encoding_gaussian_matrix.shape[1]},
    "PromptEncoder": lambda m: {
        "embed_dim": m.embed_dim,
        "image_embedding_size": m.image_embedding_size,
        "input_image_size": m.input_image_size,
        "mask_in_chans": m.mask_downscaling[3].out_channels,
        "activation": type(m.mask_downscaling[2]),
    },
}


def to_official(ours: nn.Module) -> nn.Module:
    """Meta's module with the configuration and a copy of the weights of one of ours.

    Raises:
        TypeError: Meta has no such module.
        OfficialPackageMissingError: Meta's package is not installed.
    """
    return _convert(ours, official_class)


def from_official(theirs: nn.Module) -> nn.Module:
    """Our module with the configuration and a copy of the weights of one of Meta's.

    Meta's may come from `modeling()` or from a real `import segment_anything`.

    Raises:
        TypeError: we have no such module.
    """
    return _convert(theirs, lambda name: getattr(modules, name))


def _convert(module: nn.Module, class_of: Callable[[str], type[nn.Module]]) -> nn.Module:
    name = next((c.__name__ for c in type(module).__mro__ if c.__name__ in _CONFIGURATIONS), None)
    if name is None:
        raise TypeError(f"cannot convert a {type(module).__name__}; expected one of {', '.join(_CONFIGURATIONS)}")
    configuration = _CONFIGURATIONS[name](module)
    if name == "MaskDecoder":
        configuration["transformer"] = _convert(module.get_submodule("transformer"), class_of)
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are overwritten: draw none from the caller
        converted = class_of(name)(**configuration)
    state = module.state_dict()
    if state:
        example = next(iter(state.values()))
        converted.to(device=example.device, dtype=example.dtype)
    converted.load_state_dict(state, strict=True)
    wanted = dict(module.named_parameters())
    for key, parameter in converted.named_parameters():
        parameter.requires_grad_(wanted[key].requires_grad)
    return converted.train(module.training)


# --- Comparing ---


@dataclass(frozen=True)
class Row:
    """One named tensor of ours beside Meta's.

    Attributes:
        name: the path of our `TracePoint`, or `output[...]` for what `forward` returns.
        shape: the shape of ours.
        reference_shape: the shape of Meta's; None where nothing in Meta's forward corresponds.
        max_difference: the largest absolute difference (infinite where the shapes do not fit, NaN without a reference).
        reference_max: the largest absolute value of Meta's.
        tolerance: how large the difference may be.
    """

    name: str
    shape: tuple[int, ...]
    reference_shape: tuple[int, ...] | None
    max_difference: float
    reference_max: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether the difference is within the tolerance (so is NaN never)."""
        return self.max_difference <= self.tolerance

    @property
    def verdict(self) -> str:
        if self.reference_shape is None:
            return "no reference"
        return "same" if self.within else "DIFFERS"


@dataclass(frozen=True, repr=False)
class Comparison:
    """Our forward beside Meta's: a row per named tensor, in the order of computation."""

    rows: tuple[Row, ...]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> Row:
        """The row of that name.

        Raises:
            KeyError: there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no row {name!r}; there are {', '.join(row.name for row in self.rows)}")

    @property
    def first_divergence(self) -> str | None:
        """The name of the first tensor outside its tolerance; None if all are within."""
        return next((row.name for row in self.rows if row.reference_shape is not None and not row.within), None)

    @property
    def max_difference(self) -> float:
        """The largest difference of all rows; NaN where one of them is."""
        differences = [row.max_difference for row in self.rows if row.reference_shape is not None]
        return math.nan if any(map(math.isnan, differences)) else max(differences, default=0.0)

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of our tensors that nothing in Meta's forward corresponds to."""
        return tuple(row.name for row in self.rows if row.reference_shape is None)

    @property
    def summary(self) -> str:
        compared = (
            f"{len(self.rows) - len(self.missing)} tensors compared, largest difference {self.max_difference:.2g}"
        )
        if self.first_divergence is None:
            return f"{compared}: all within tolerance."
        return f"{compared}. First to differ: {self.first_divergence}"

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                row.name,
                _shape_text(row.shape),
                _shape_text(row.reference_shape),
                f"{row.max_difference:.2g}",
                f"{row.reference_max:.3g}",
                row.verdict,
            )
            for row in self.rows
        ]

    def __str__(self) -> str:
        table = [_HEADINGS, *self._cells()]
        widths = [max(len(line[i]) for line in table) for i in range(len(_HEADINGS))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in table]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join(line.rstrip() for line in [*lines, self.summary])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def line(cells: tuple[str, ...], tag: str, style: str = "") -> str:
            inside = "".join(f'<{tag} style="text-align: left">{html.escape(cell)}</{tag}>' for cell in cells)
            return f"<tr{style}>{inside}</tr>"

        # Not by colour alone: the last column says it in words.
        mark = ' style="background: #fde0dd; color: #000; font-weight: bold"'
        first = self.first_divergence
        body = "".join(
            line(cells, "td", mark if row.name == first else "")
            for row, cells in zip(self.rows, self._cells(), strict=True)
        )
        caption = f'<caption style="text-align: left">{html.escape(self.summary)}</caption>'
        return f"<table>{caption}<thead>{line(_HEADINGS, 'th')}</thead><tbody>{body}</tbody></table>"


_HEADINGS = ("tensor", "sam_edu", "Meta", "max difference", "max |Meta|", "verdict")
_TOLERANCES = {torch.float32: 2e-6, torch.float64: 1e-12}


def tolerance(reference: Tensor) -> float:
    """How far a tensor may be from `reference`: relative to its largest value, or to 1 where that is larger.

    Half precision has no tolerance of its own in this project; 16 roundings are allowed.
    """
    relative = _TOLERANCES.get(reference.dtype)
    if relative is None:
        relative = 16 * torch.finfo(reference.dtype).eps if reference.is_floating_point() else 0.0
    largest = _largest(reference)
    return relative * max(1.0, largest) if math.isfinite(largest) else 0.0


def compare(ours: nn.Module, theirs: nn.Module, inputs: Mapping[str, Any]) -> Comparison:
    """Run both forwards on the same inputs and compare every named tensor on the way.

    Ours is read at its Points. Meta's own forward runs as it is: hooks on its submodules see what goes in and out,
    and a `TorchFunctionMode` sees each softmax between them. Both are left without hooks.

    Args:
        ours: a module of `sam_edu.modules`, or one that contains some.
        theirs: Meta's module; neither configuration nor weights need to be the same.
        inputs: the arguments of `forward` by name.

    Returns:
        a row per named tensor, in the order of our computation, and then one per output.
    """
    with torch.no_grad():
        seen, output = _run_ours(ours, inputs)
        record = _Record()
        reference_output = record.run(theirs, inputs)
    references = _references(ours, theirs, record)
    rows = [_row(name, tensor, references.get(name), broadcast=True) for name, tensor in seen.items()]
    expected = dict(_flatten("output", reference_output))
    rows += [_row(name, tensor, expected.get(name), broadcast=False) for name, tensor in _flatten("output", output)]
    return Comparison(tuple(rows))


def _run_ours(ours: nn.Module, inputs: Mapping[str, Any]) -> tuple[dict[str, Tensor], Any]:
    """What passes each TracePoint, in order, and the output."""
    seen: dict[str, Tensor] = {}

    def listen(name: str, _module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> None:
        seen[name] = output.detach()

    with ExitStack() as stack:
        for name, module in ours.named_modules():
            if isinstance(module, TracePoint):
                stack.callback(module.register_forward_hook(partial(listen, name)).remove)
        output = ours(**inputs)
    return seen, output


class _Record(TorchFunctionMode):
    """What Meta's modules took in and gave out in one forward, by their paths, and each softmax between them."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs: dict[str, tuple[Any, ...]] = {}
        self.outputs: dict[str, Any] = {}
        self.softmax: dict[str, tuple[Tensor, Tensor]] = {}
        self._running: list[str] = []

    def run(self, theirs: nn.Module, inputs: Mapping[str, Any]) -> Any:
        with ExitStack() as stack:
            for path, module in theirs.named_modules():
                before = module.register_forward_pre_hook(partial(self._enter, path), with_kwargs=True)
                after = module.register_forward_hook(partial(self._leave, path))
                stack.callback(before.remove)
                stack.callback(after.remove)
                if hasattr(module, "predict_masks"):
                    # All masks, before `forward` chooses: a method, so no hook sees it. The instance's own
                    # attribute hides the class' method until it is deleted.
                    vars(module)["predict_masks"] = partial(self._predict, path, module.predict_masks)
                    stack.callback(vars(module).pop, "predict_masks")
            with self:
                return theirs(**inputs)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.softmax, torch.Tensor.softmax, nn.functional.softmax) and self._running:
            self.softmax[self._running[-1]] = (args[0], result)
        return result

    def _enter(self, path: str, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._running.append(path)
        self.inputs[path] = (*args, *kwargs.values())

    def _leave(self, path: str, _module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        self._running.pop()
        self.outputs[path] = output

    def _predict(self, path: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.outputs[_join(path, "predict_masks")] = result = method(*args, **kwargs)
        return result


# Per class of ours: its Points, and how to find each one's tensor in the record of Meta's module of the same path.
_Finder = Callable[[], Tensor]


def _find_attention(record: _Record, path: str, theirs: Any) -> dict[str, _Finder]:
    def split(tensor: Tensor) -> Tensor:
        return tensor.unflatten(-1, (theirs.num_heads, -1)).transpose(1, 2)

    return {
        "q": lambda: split(record.outputs[_join(path, "q_proj")]),
        "k": lambda: split(record.outputs[_join(path, "k_proj")]),
        "v": lambda: split(record.outputs[_join(path, "v_proj")]),
        "scores": lambda: record.softmax[path][0],
        "weights": lambda: record.softmax[path][1],
        "heads": lambda: split(record.inputs[_join(path, "out_proj")][0]),
        "out": lambda: record.outputs[path],
    }


def _find_outputs(children: dict[str, str]) -> Callable[[_Record, str, Any], dict[str, _Finder]]:
    """Points that are a child's output: {TracePoint: child}."""

    def find(record: _Record, path: str, _theirs: Any) -> dict[str, _Finder]:
        return {name: partial(record.outputs.__getitem__, _join(path, child)) for name, child in children.items()}

    return find


def _find_mask_decoder(record: _Record, path: str, theirs: Any) -> dict[str, _Finder]:
    def at(child: str) -> str:
        return _join(path, child)

    def hyper_in() -> Tensor:
        masks = range(theirs.num_mask_tokens)
        return torch.stack([record.outputs[at(f"output_hypernetworks_mlps.{i}")] for i in masks], dim=1)

    return {
        "tokens": lambda: record.inputs[at("transformer")][2],
        "src": lambda: record.inputs[at("transformer")][0],
        "pos_src": lambda: record.inputs[at("transformer")][1],
        "hs": lambda: record.outputs[at("transformer")][0],
        "keys": lambda: record.outputs[at("transformer")][1],
        "hyper_in": hyper_in,
        "masks": lambda: record.outputs[at("predict_masks")][0],
        "iou_pred": lambda: record.outputs[at("predict_masks")][1],
    }


def _find_mlp_block(record: _Record, path: str, _theirs: Any) -> dict[str, _Finder]:
    return {"hidden": lambda: record.inputs[_join(path, "lin2")][0]}


def _find_prompt_encoder(record: _Record, path: str, _theirs: Any) -> dict[str, _Finder]:
    return {
        "sparse_embeddings": lambda: record.outputs[path][0],
        "dense_embeddings": lambda: record.outputs[path][1],
    }


_FINDERS: dict[type[nn.Module], Callable[[_Record, str, Any], dict[str, _Finder]]] = {
    modules.Attention: _find_attention,
    modules.TwoWayAttentionBlock: _find_outputs(
        {"queries_1": "norm1", "queries_2": "norm2", "queries_3": "norm3", "keys_4": "norm4"}
    ),
    modules.MLPBlock: _find_mlp_block,
    modules.OutputUpscaling: _find_outputs(
        {"doubled_once": "0", "normed": "1", "activated_once": "2", "doubled_twice": "3", "activated_twice": "4"}
    ),
    modules.MaskDecoder: _find_mask_decoder,
    modules.PromptEncoder: _find_prompt_encoder,
}


def _references(ours: nn.Module, theirs: nn.Module, record: _Record) -> dict[str, Tensor]:
    """Per name of one of our Points the tensor of Meta's forward that it corresponds to."""
    found: dict[str, Tensor] = {}
    for path, module in ours.named_modules():
        for kind, find in _FINDERS.items():
            if isinstance(module, kind) and path in record.outputs:
                for name, finder in find(record, path, theirs.get_submodule(path)).items():
                    try:
                        found[_join(path, name)] = finder().detach()
                    except KeyError:
                        continue  # Meta's forward did not come by: the row says that it has no reference
    return found


def _row(name: str, ours: Tensor, reference: Tensor | None, broadcast: bool) -> Row:
    shape = tuple(ours.shape)
    if reference is None:
        return Row(name, shape, None, math.nan, math.nan, math.nan)
    reference = reference.detach()
    # Meta repeats what we broadcast: a batch of 1 stands for any number.
    fits = ours.shape == reference.shape or (
        broadcast and ours.shape[1:] == reference.shape[1:] and 1 in (ours.shape[0], reference.shape[0])
    )
    difference = _largest(ours.detach().double() - reference.double()) if fits else math.inf
    return Row(name, shape, tuple(reference.shape), difference, _largest(reference), tolerance(reference))


def _largest(tensor: Tensor) -> float:
    return tensor.detach().double().abs().max().item() if tensor.numel() else 0.0


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _flatten(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    """The tensors in nested tuples, lists and dicts, named by their places."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flatten(f"{name}[{key!r}]", item)
    elif isinstance(value, tuple | list):
        for i, item in enumerate(value):
            yield from _flatten(f"{name}[{i}]", item)


def _shape_text(shape: tuple[int, ...] | None) -> str:
    return "-" if shape is None else "x".join(map(str, shape)) or "()"


# --- Predicting ---

_IMAGE_ENCODERS: dict[str, dict[str, Any]] = {
    "vit_b": {"embed_dim": 768, "depth": 12, "num_heads": 12, "global_attn_indexes": (2, 5, 8, 11)},
    "vit_l": {"embed_dim": 1024, "depth": 24, "num_heads": 16, "global_attn_indexes": (5, 11, 17, 23)},
    "vit_h": {"embed_dim": 1280, "depth": 32, "num_heads": 16, "global_attn_indexes": (7, 15, 23, 31)},
}


def build_image_encoder(name: str = "vit_b", **changes: Any) -> nn.Module:
    """Meta's `ImageEncoderViT` as a released checkpoint wants it, with random weights.

    Args:
        name: "vit_b", "vit_l" or "vit_h".
        changes: arguments of `ImageEncoderViT` that shall differ, for example a small one for tests.

    Raises:
        ValueError: another name.
        OfficialPackageMissingError: Meta's package is not installed.
    """
    if name not in _IMAGE_ENCODERS:
        raise ValueError(f"name: expected one of {', '.join(_IMAGE_ENCODERS)}, got {name!r}")
    common = {
        "img_size": 1024,
        "patch_size": 16,
        "mlp_ratio": 4,
        "norm_layer": partial(nn.LayerNorm, eps=1e-6),
        "qkv_bias": True,
        "use_rel_pos": True,
        "window_size": 14,
        "out_chans": 256,
    }
    return modeling().ImageEncoderViT(**{**common, **_IMAGE_ENCODERS[name], **changes})


def sam_predictor(
    sam: nn.Module, prompt_encoder: nn.Module | None = None, mask_decoder: nn.Module | None = None, **pixels: Any
) -> Any:
    """Meta's `SamPredictor`, also where torchvision, or its compiled operators, are missing.

    Args:
        sam: Meta's `Sam`; or an image encoder (with the attribute `img_size`), where the other two are given.
        prompt_encoder: ours or Meta's.
        mask_decoder: ours or Meta's.
        pixels: `pixel_mean` and `pixel_std` of Meta's `Sam`, where not its own.

    Returns:
        a `SamPredictor` of that model, in evaluation mode.

    Raises:
        TypeError: one of the two other parts is missing, or they are given beside a whole model.
        OfficialPackageMissingError: Meta's package is not installed.
    """
    if (prompt_encoder is None) != (mask_decoder is None):
        raise TypeError("sam_predictor: expected a whole Sam, or image_encoder, prompt_encoder and mask_decoder")
    if prompt_encoder is not None:
        sam = modeling().Sam(sam, prompt_encoder, mask_decoder, **pixels)
    elif pixels or not hasattr(sam, "postprocess_masks"):
        raise TypeError("sam_predictor: expected Meta's Sam alone, or image_encoder, prompt_encoder and mask_decoder")
    _make_alias()
    _load_with("utils.transforms", {"torchvision.transforms.functional": _torchvision_functional()})
    return _load_with("predictor", {"segment_anything.modeling": modeling()}).SamPredictor(sam.eval())


def _torchvision_functional() -> Any:
    """torchvision's functions where they can be imported, else a stand-in for the two that are needed."""
    before = set(sys.modules)
    try:
        return importlib.import_module("torchvision.transforms.functional")
    except (ImportError, RuntimeError, OSError):  # absent, or its compiled operators do not fit this torch
        for name in set(sys.modules) - before:
            if name.partition(".")[0] == "torchvision":
                del sys.modules[name]
        return _PillowFunctional


class _PillowFunctional:
    """What `ResizeLongestSide.apply_image` needs of `torchvision.transforms.functional`."""

    @staticmethod
    def to_pil_image(picture: Any) -> Any:
        """An array (height, width, 3) of bytes as a Pillow image."""
        from PIL import Image  # only a predictor needs it

        return Image.fromarray(picture)

    @staticmethod
    def resize(image: Any, size: tuple[int, int]) -> Any:
        """Resize a Pillow image to `size`, (height, width), bilinear with antialiasing as torchvision does."""
        from PIL import Image

        height, width = size
        return image.resize((width, height), Image.Resampling.BILINEAR)
