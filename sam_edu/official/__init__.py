"""Meta's package `segment_anything`: reach it, convert weights, compare tensor by tensor, predict."""

from sam_edu.official.package import (
    Comparison,
    OfficialPackageMissingError,
    Row,
    build_image_encoder,
    compare,
    from_official,
    modeling,
    official_class,
    package_folder,
    sam_predictor,
    to_official,
    tolerance,
)

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
