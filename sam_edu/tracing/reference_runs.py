"""ReferenceRuns: the tensors of many forward passes, by name: what a mean is taken over, and a run is drawn from."""

from collections.abc import Iterator, Mapping

from torch import Tensor

_DECODER = "mask_decoder."


class ReferenceRuns(Mapping[str, Tensor]):
    """Tensors of several forward passes by name, the runs first: (runs, *shape of one prompt set).

    The mean may be over more runs than are kept: of a large tensor a few runs are enough to draw from, while all of
    them count for the mean. Where the runs are not kept at all, the name has a mean alone.

    Args:
        runs: per name the tensors of the runs that are kept.
        means: per name the mean over all runs, in the shape of one prompt set. Where it is left out, it is the mean
            over the runs that are kept.
        count: how many runs there were.
    """

    def __init__(self, runs: Mapping[str, Tensor], means: Mapping[str, Tensor] | None = None, count: int = 0) -> None:
        self._runs, self._means = dict(runs), dict(means or {})
        self.count = count or max((len(tensor) for tensor in self._runs.values()), default=0)

    def __getitem__(self, name: str) -> Tensor:
        """The runs that are kept of a tensor. Raises KeyError where there are none."""
        return self._runs[self._known(name, self._runs)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._runs)

    def __len__(self) -> int:
        return len(self._runs)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._runs or name.removeprefix(_DECODER) in self._runs)

    def __repr__(self) -> str:
        return f"<ReferenceRuns: {self.count} runs of {', '.join(self.names)}>"

    @property
    def names(self) -> tuple[str, ...]:
        """The names that have a mean."""
        return tuple({**self._runs, **self._means})

    def mean(self, name: str) -> Tensor:
        """The mean of a tensor over all runs, slot by slot, in the shape of one prompt set.

        Raises:
            KeyError: no such name.
        """
        known = self._known(name, {**self._runs, **self._means})
        return self._means[known] if known in self._means else self._runs[known].mean(dim=0)

    @staticmethod
    def _known(name: str, names: Mapping[str, Tensor]) -> str:
        for candidate in (name, name.removeprefix(_DECODER)):
            if candidate in names:
                return candidate
        raise KeyError(f"reference: holds nothing named {name!r}, only {', '.join(names) or 'nothing'}")
