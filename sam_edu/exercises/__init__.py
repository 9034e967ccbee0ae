"""The exercises of the notebooks: `from sam_edu.exercises import attention`, then `attention.forward(YourAttention)`.

A module per topic holds its exercises, each an `Exercise`; the module of the same name in `solutions` holds answers
that pass. `judging` and `judging_tables` judge an answer; `inputs` has the tensors and modules to try it on.
"""

from sam_edu.exercises.judging import Exercise, WrongAnswer

__all__ = ["Exercise", "WrongAnswer"]
