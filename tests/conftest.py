"""What all tests share: one profile for hypothesis, and the way to the helper modules beside the tests."""

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

# Several tests import `acting`, `checkpoint_files`, `decoders`, `drawings`, `examples`, `exercise_cases`,
# `notebook_cells`, `operations`, `parity`, `predictors` and `toy_masks`.
for folder in ("", "modules", "notebooks", "exercises", "figures", "scenes", "fast", "checkpoints", "tracing"):
    sys.path.insert(0, str(Path(__file__).parent / folder))

# The same examples on every run, however busy the machine is.
settings.register_profile(
    "sam_edu", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("sam_edu")
