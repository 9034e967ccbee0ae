"""Files of weights: Meta's official ones and those of one's own training, read without ever running code from them.

`sam_edu.load(name, checkpoint=path)` is the way in. `OFFICIAL` lists Meta's three files, `download` fetches one of
them, `read` says what is wrong with a file that cannot be used, `fill` gives a model the values of one that can.
"""

from sam_edu.checkpoints.downloading import CACHE_VARIABLE, cache_folder, download, find_downloaded
from sam_edu.checkpoints.entries import Entries
from sam_edu.checkpoints.fitting import describe, fill, recognise
from sam_edu.checkpoints.official_files import ENVIRONMENT_VARIABLE, OFFICIAL, PAGE, OfficialFile, advice
from sam_edu.checkpoints.reading import read

__all__ = [
    "CACHE_VARIABLE",
    "ENVIRONMENT_VARIABLE",
    "OFFICIAL",
    "PAGE",
    "Entries",
    "OfficialFile",
    "advice",
    "cache_folder",
    "describe",
    "download",
    "fill",
    "find_downloaded",
    "read",
    "recognise",
]
