"""The way to the module that the tests of sam_edu.official share."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # `official_cases` is imported by several tests
