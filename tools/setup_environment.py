"""Create the project's environment in `.venv`, or complete it, or find within a moment that it is complete.

    python tools/setup_environment.py

Any Python can start this file: it is written for old ones, down to 2.7, and says what is needed where one is too old.
The work is done in `environment.py`.
"""

import os
import runpy
import sys

if sys.version_info < (3, 7):  # noqa: UP036 - for Pythons that cannot read environment.py
    sys.exit(
        "The set-up needs Python 3.11 to 3.13, and this is Python %d.%d (%s): start it with a newer one, such as"  # noqa: UP031
        " `python3.12 tools/setup_environment.py`, or install one from https://www.python.org/downloads/."
        % (sys.version_info[0], sys.version_info[1], sys.executable)
    )

if __name__ == "__main__":
    folder = os.path.dirname(os.path.abspath(__file__))
    runpy.run_path(os.path.join(folder, "environment.py"), run_name="__main__")
