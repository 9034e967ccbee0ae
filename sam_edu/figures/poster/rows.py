"""The table of trace points as the poster reads it: a step's tensors, by the last part of their names."""

from collections.abc import Iterable

from sam_edu.tracing import trace_points


class StepRows:
    """The rows of one step in the table of trace points.

    Attributes:
        address: the step's, as its badge shows it: "1", "6-3"; "prompt" for the prompt encoder.
        asked: full names of the tensors that were asked for, in any step.
    """

    def __init__(self, address: str, block: int | None, asked: set[str]) -> None:
        self.address, self.asked = address, asked
        names = [row.name for row in trace_points.TRACE_POINTS if row.step.strip("()") == address]
        self._names = [name if block is None else name.replace("{i}", str(block)) for name in names]

    def __getitem__(self, tensor: str) -> str:
        """The full name of the tensor whose name ends so.

        Raises:
            KeyError: the table has no such tensor at this step, or several.
        """
        found = [name for name in self._names if own_name(name) == tensor]
        if len(found) != 1:
            raise KeyError(f"{tensor}: expected one row of step {self.address} in TRACE_POINTS, got {found}")
        self.asked.add(found[0])
        return found[0]


def own_name(name: str) -> str:
    """The last part of a tensor's name."""
    return name.rpartition(".")[2]


def module_path(name: str) -> str:
    """A tensor's name without its last part."""
    return name.rpartition(".")[0]


def axes_of(name: str) -> tuple[str, ...]:
    """The axes of a traced tensor.

    Raises:
        KeyError: the table has no row of that name.
    """
    for row in trace_points.TRACE_POINTS:
        if row.name == trace_points.pattern(name):
            return tuple(row.axes.split())
    raise KeyError(f"{name}: expected a tensor with a row in TRACE_POINTS")


def step_of(name: str) -> str:
    """The address of a traced tensor's step."""
    return next(row.step for row in trace_points.TRACE_POINTS if row.name == trace_points.pattern(name))


def listed_in_table(names: Iterable[str]) -> list[str]:
    """Those of a trace's names that have a row."""
    rows = {row.name for row in trace_points.TRACE_POINTS}
    return [name for name in names if trace_points.pattern(name) in rows]
