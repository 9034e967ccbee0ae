"""Build the site, the series as pages: python -m tools.build_site.

The pages have the committed outputs, or with `--executed` those of the last `python -m tools.run_notebooks`. They are
plain files that need no server and load nothing from elsewhere.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from tools.build_explorer import PackagesMissingError
from tools.build_explorer import build as build_explorer
from tools.draw_thumbnails import PREVIEW, figure_of, fitted
from tools.remote_references import remote_references
from tools.site_pages import write_sources

PROJECT = Path(__file__).resolve().parent.parent


def repository_of(project: Path) -> str | None:
    """ "owner/name" where the project's origin is on GitHub: from GitHub's own variable, or from git."""
    given = os.environ.get("GITHUB_REPOSITORY")
    if given:
        return given
    try:
        address = subprocess.run(
            ["git", "-C", str(project), "remote", "get-url", "origin"],
            capture_output=True,
            encoding="utf-8",
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r"github\.com[:/]([\w.-]+/[\w.-]+?)(\.git)?/?$", address)
    return found[1] if found else None


def build(project: Path, to: Path, notebooks: Path | None = None, repository: str | None = None) -> int:
    """Build the site into a folder, which is emptied before.

    Args:
        project: the project's folder.
        to: for the pages.
        notebooks: where those with outputs are; the committed ones by default.
        repository: "owner/name" on GitHub, for the links into it.

    Returns:
        the exit status: 0 where there is no warning, and no page loads anything from elsewhere.
    """
    from sphinx.cmd.build import build_main

    sources = to.parent / "site_sources"
    write_sources(project, sources, notebooks or project / "notebooks", repository)
    previews = sources / "_static" / "previews"
    previews.mkdir()
    for path in sorted((notebooks or project / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        fitted(figure_of(path), PREVIEW).save(previews / f"{path.name[:2]}.png")
    with Image.open(project / "images" / "poster.png") as poster:
        fitted(poster.convert("RGB"), PREVIEW).save(previews / "poster.png")
    shutil.rmtree(to, ignore_errors=True)
    os.environ["SAM_EDU_PROJECT"] = str(project)
    status = build_main(
        ["-q", "-W", "--keep-going", "-b", "html", "-d", str(to.parent / "site_doctrees"), str(sources), str(to)]
    )
    try:
        build_explorer(to / "explorer")
    except PackagesMissingError as error:
        print(f"The click lab is left out, its page says so: {error}")
    for page in sorted(to.rglob("*.html")):
        for reference in remote_references(page.read_text(encoding="utf-8")):
            print(f"{page.relative_to(to)} would load {reference} from elsewhere.")
            status = 1
    (to / ".nojekyll").touch()  # GitHub Pages would leave out folders whose names begin with an underscore
    return status


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.build_site", description="Build the site.")
    parser.add_argument("--executed", action="store_true", help="with the outputs in build/notebooks, where there are")
    parser.add_argument("--repository", help="owner/name on GitHub; default: that of git's origin, if it is there")
    options = parser.parse_args(arguments)
    executed = PROJECT / "build" / "notebooks"
    notebooks = PROJECT / "notebooks"
    if options.executed:
        missing = [path.name for path in sorted(notebooks.glob("*.ipynb")) if not (executed / path.name).is_file()]
        if missing:
            parser.error(f"--executed: {executed} lacks {', '.join(missing)}; run python -m tools.run_notebooks first")
        notebooks = executed
    to = PROJECT / "build" / "html"
    status = build(PROJECT, to, notebooks, options.repository or repository_of(PROJECT))
    print(f"To read the series, open {to / 'index.html'}" if not status else "The site has warnings, see above.")
    return status


if __name__ == "__main__":
    sys.exit(main())
