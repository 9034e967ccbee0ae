"""Find the browser that looks at the site, or say how to get one: python -m tools.find_chromium."""

from __future__ import annotations

import os
import shutil
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOW = """No Chromium was found. To get it:
  Debian, Ubuntu   apt-get install chromium
  Fedora           dnf install chromium
  macOS            brew install --cask chromium
  elsewhere        https://www.chromium.org/getting-involved/download-chromium/
Chrome does too. Where it lies in no folder of PATH, put its file into the variable CHROMIUM."""


def find_chromium() -> str:
    """The browser's file.

    Raises:
        FileNotFoundError: there is none, and how to get it.
    """
    given = os.environ.get("CHROMIUM")
    if given:
        if not os.access(given, os.X_OK):
            raise FileNotFoundError(f"CHROMIUM: {given} is no program")
        return given
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    raise FileNotFoundError(HOW)


if __name__ == "__main__":
    try:
        find_chromium()
    except FileNotFoundError as error:
        sys.exit(str(error))
