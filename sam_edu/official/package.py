"""Reach Meta's package `segment_anything` without importing torchvision.

The package's `__init__` imports torchvision, which its modelling files do not need. They are loaded here as parts of a
private package that shares its folder, so that `import segment_anything` does the same as before.
"""

import builtins
import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from sam_edu.argument_checks import as_choice

_ALIAS = "_segment_anything_of_sam_edu"

# The file of Meta's `modeling` that defines each of the classes that have a counterpart here.
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
        TypeError: no text.
        ValueError: none of Meta's classes that can be converted has this name.
        OfficialPackageMissingError: Meta's package is not installed.
    """
    name = as_choice("name", name, _FILES)
    return getattr(getattr(modeling(), _FILES[name]), name)


def _make_alias() -> None:
    """Register an empty package whose submodules are searched for in Meta's folder."""
    if _ALIAS not in sys.modules:
        spec = importlib.machinery.ModuleSpec(_ALIAS, None, is_package=True)
        spec.submodule_search_locations = [str(package_folder())]
        sys.modules[_ALIAS] = importlib.util.module_from_spec(spec)


def load_with(name: str, imports: Mapping[str, Any]) -> ModuleType:
    """Load a file of Meta's package, with given objects for some of its absolute imports.

    The file's own `__import__` returns them, so that `sys.modules` never holds a name that is not ours.

    Args:
        name: the file, from the package's folder (`utils.transforms`).
        imports: for each imported module's name what the file gets.

    Raises:
        OfficialPackageMissingError: Meta's package is not installed, or has no such file.
    """
    _make_alias()
    name = f"{_ALIAS}.{name}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise OfficialPackageMissingError(f"the installed segment-anything has no file for {name}; version 1.0 does")

    def import_for_file(
        wanted: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        if level == 0 and wanted in imports:
            return imports[wanted]
        return builtins.__import__(wanted, globals, locals, fromlist, level)

    module = importlib.util.module_from_spec(spec)
    vars(module)["__builtins__"] = {**vars(builtins), "__import__": import_for_file}
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
