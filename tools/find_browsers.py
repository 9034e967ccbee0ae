"""Find the browsers that look at the site, or say how to get them: python -m tools.find_browsers."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOW_CHROMIUM = """No Chromium was found. To get it:
  Debian, Ubuntu   apt-get install chromium
  Fedora           dnf install chromium
  macOS            brew install --cask chromium
  elsewhere        https://www.chromium.org/getting-involved/download-chromium/
Chrome does too. Where it lies in no folder of PATH, put its file into the variable CHROMIUM."""
FIREFOX = ("firefox-esr", "firefox")
HOW_FIREFOX = """No Firefox was found. To get it:
  Debian           apt-get install firefox-esr
  Fedora           dnf install firefox
  elsewhere        https://www.mozilla.org/firefox/
Where it lies in no folder of PATH, put its file into the variable FIREFOX."""


def find_chromium() -> str:
    """Chromium's file.

    Raises:
        FileNotFoundError: there is none, and how to get it.
    """
    return _find("CHROMIUM", CHROMIUM, HOW_CHROMIUM)


def find_firefox() -> str:
    """Firefox's file.

    Raises:
        FileNotFoundError: there is none, and how to get it.
    """
    return _find("FIREFOX", FIREFOX, HOW_FIREFOX)


def _find(variable: str, names: Sequence[str], how: str) -> str:
    given = os.environ.get(variable)
    if given:
        if not os.access(given, os.X_OK):
            raise FileNotFoundError(f"{variable}: {given} is no program")
        return given
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise FileNotFoundError(how)


def main() -> int:
    """Say what is missing; 0 where nothing is."""
    status = 0
    for find in (find_chromium, find_firefox):
        try:
            find()
        except FileNotFoundError as error:
            print(error, file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
