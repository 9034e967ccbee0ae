"""Sources: the images that a run trains on beside the drawn scenes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sam_edu.scenes.annotated import Annotated, read_annotated
from sam_edu.scenes.photographs import Photographs
from sam_edu.training.settings import Settings

NAMED = 20
"""At most this many things that are left out are named one by one."""


@dataclass(frozen=True)
class Sources:
    """Images of one's own.

    Attributes:
        photographs: from which the scenes take fills and backgrounds.
        annotated: images with outlined objects.
        annotated_share: share of those among the images of a step.
    """

    photographs: Photographs | None = None
    annotated: Annotated | None = None
    annotated_share: float = 0.0

    @classmethod
    def of(cls, settings: Settings) -> "Sources":
        """What settings name, read and checked file by file.

        Raises:
            FileNotFoundError, ImportError, ValueError: see `Photographs.of_folder` and `read_annotated`.
        """
        photographs = annotated = None
        if settings.annotated is not None:
            folder = None if settings.annotated_images is None else Path(settings.annotated_images)
            annotated = read_annotated(Path(settings.annotated), folder)
        if settings.photographs is not None:
            photographs = Photographs.of_folder(Path(settings.photographs), settings.photograph_share)
        return cls(photographs, annotated, settings.annotated_share)

    def fingerprint(self) -> str | None:
        """Another one for other images; None without any."""
        parts = [source.fingerprint() for source in (self.photographs, self.annotated) if source is not None]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest() if parts else None

    def summary(self) -> list[str]:
        """What is used and what is left out, a line each."""
        lines = []
        if self.photographs is not None:
            lines.append(f"photographs: {len(self.photographs.paths)} images")
            lines += _named({path.name: reason for path, reason in self.photographs.left_out.items()})
        if self.annotated is not None:
            lines.append(f"annotated: {len(self.annotated.images)} images with {self.annotated.objects} objects")
            lines += _named(self.annotated.left_out)
        return lines


def _named(left_out: Mapping[str, str]) -> list[str]:
    lines = [f"  left out: {name}: {reason}" for name, reason in list(left_out.items())[:NAMED]]
    return [*lines, f"  left out: {len(left_out) - NAMED} more"] if len(left_out) > NAMED else lines
