"""Replicas: the same statistics of other trainings of the same model.

A replica shows what belongs to the architecture and what to one training. Its file lies in `tiny/replicas/`, and its
name is the file's. To add one, put the file there; its weights need not be anywhere:

    python -m tools.make_statistics --weights other.safetensors --out sam_edu/tiny/replicas/other.npz

    {name: stats.effect("transformer.layers.1.mlp ablated") for name, stats in ablation.replicas().items()}
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from sam_edu.ablation.pair_results import PairStatistics
from sam_edu.ablation.results import Statistics, arrays, stored_at

Result = TypeVar("Result")


def replicas_at() -> Path:
    """The folder of the replicas' files."""
    return stored_at().parent / "replicas"


def replicas(folder: Path | None = None) -> dict[str, Statistics]:
    """The statistics of all replicas, by name. Empty where there are none.

    Args:
        folder: that of the package by default.

    Raises:
        ValueError: a file lacks something; or two files, or a file and the package's statistics, are of the same
            weights.
    """
    return _read_all(folder, Statistics)


def replica_effects(names: Mapping[str, str], folder: Path | None = None) -> dict[str, list[float]] | None:
    """The mean effects of ablations in all replicas, as `figures.effect_dots(..., replicas=...)` draws them.

    Args:
        names: by what a figure calls it, the name of an ablation.
        folder: that of the package by default.

    Returns:
        per name of the figure one mean for each replica, in their order; None where there is no replica.

    Raises:
        KeyError: an ablation of another name.
        ValueError: as for `replicas`.
    """
    others = replicas(folder).values()
    return {shown: [one.effect(name).mean for one in others] for shown, name in names.items()} if others else None


def pair_replicas(folder: Path | None = None) -> dict[str, PairStatistics]:
    """The results of the transplants of all replicas, by name. Argument and errors as for `replicas`."""
    return _read_all(folder, PairStatistics)


def _read_all(folder: Path | None, reader: Callable[[Mapping[str, Any]], Result]) -> dict[str, Result]:
    # Weights by their stamp, so that no dot of a figure is the same training twice.
    seen: dict[str, Path] = {}
    if stored_at().is_file():
        seen[str(arrays(stored_at())["weights"])] = stored_at()
    found = {}
    for path in sorted((folder or replicas_at()).glob("*.npz")):
        data = arrays(path)
        if "weights" not in data:
            raise ValueError(f"{path.name}: expected a file of tools.make_statistics, got one without a stamp")
        stamp = str(data["weights"])
        if stamp in seen:
            raise ValueError(
                f"{path.name} was measured on the same weights as {seen[stamp].name} (SHA-256 {stamp[:12]}...), so it "
                "is no replica: remove it"
            )
        seen[stamp] = path
        try:
            found[path.stem] = reader(data)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path.name}: {error}; measure this replica again, or remove the file") from error
    return found
