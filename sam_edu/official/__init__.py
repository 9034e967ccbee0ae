"""Meta's package `segment_anything`: reach it, convert weights, compare tensor by tensor, predict.

Nothing else in `sam_edu` knows Meta's package.
"""

from sam_edu.official.compare import Comparison, Row, compare, tolerance
from sam_edu.official.convert import from_official, to_official
from sam_edu.official.package import OfficialPackageMissingError, modeling, official_class, package_folder
from sam_edu.official.predictor import build_image_encoder, sam_predictor

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
