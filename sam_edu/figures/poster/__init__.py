"""The poster: every tensor of one decode on a sheet of A2."""

from sam_edu.figures.poster.draw import poster
from sam_edu.figures.poster.file import Poster

__all__ = ["Poster", "poster"]
