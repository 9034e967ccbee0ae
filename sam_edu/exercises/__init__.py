"""The exercises of the notebooks: `from sam_edu.exercises import attention`, then `attention.forward(YourAttention)`.

One module per component: its exercises, each an `Exercise`; and beside it, in `..._solutions`, answers that pass.
"""

from sam_edu.exercises.exercise import Exercise, WrongAnswer

__all__ = ["Exercise", "WrongAnswer"]
