"""Block: the context manager that `trace` and `intervene` give, and the mark of the hooks that it sets."""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ContextDecorator
from types import TracebackType
from typing import Any, Generic, TypeVar

Entered = TypeVar("Entered")
Hook = TypeVar("Hook", bound=Callable[..., Any])


class Block(ContextDecorator, AbstractContextManager[Entered], Generic[Entered]):
    """A context manager that may be entered again, also inside itself; one that is never entered warns.

    Args:
        begin: makes the context manager of one block.
        usage: how it is used, for messages.
    """

    def __init__(self, begin: Callable[[], AbstractContextManager[Entered]], usage: str) -> None:
        self._begin, self._usage = begin, usage
        self._entered = False
        self._open: list[AbstractContextManager[Entered]] = []

    def __enter__(self) -> Entered:
        block = self._begin()
        value = block.__enter__()
        self._open.append(block)
        self._entered = True
        return value

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return self._open.pop().__exit__(kind, error, traceback)

    def __getitem__(self, name: object) -> Any:
        raise TypeError(f"{name!r}: this is no trace but the block that makes one; write `{self._usage}`")

    def __del__(self) -> None:
        if not self._entered:
            warnings.warn(f"a block that was never entered has no effect; write `{self._usage}`", stacklevel=2)


def of_a_block(hook: Hook) -> Hook:
    """Mark a hook as one of a block, so that copies of its `TracePoint` leave it out."""
    hook.of_a_block = True  # type: ignore[attr-defined]
    return hook
