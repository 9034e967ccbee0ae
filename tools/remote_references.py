"""What a browser would fetch from elsewhere to show a page. The site's pages have nothing of the kind."""

from __future__ import annotations

import re
from html.parser import HTMLParser


def remote_references(page: str) -> list[str]:
    """What a browser would fetch from elsewhere to show the page, or could; links to follow are not among them."""
    finder = _RemoteFinder()
    finder.feed(page)
    return finder.found


class _RemoteFinder(HTMLParser):
    _LOADING = frozenset({"src", "srcset", "data", "poster", "background", "xlink:href"})
    _REMOTE = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
    _IN_CSS = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])\s*((?:https?:)?//[^'\")\s]+)", re.IGNORECASE)
    _IN_SCRIPT = re.compile(r"https?://[^'\"\s]+", re.IGNORECASE)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style"):
            self._inside = tag
        for name, value in attributes:
            loads = name in self._LOADING or (tag in ("link", "image", "use") and name == "href")
            if value and loads and self._REMOTE.match(value):
                self.found.append(f"<{tag} {name}={value}>")
            if value and name == "style":
                self.found += self._IN_CSS.findall(value)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.found += self._IN_CSS.findall(data)
        elif self._inside == "script":
            self.found += self._IN_SCRIPT.findall(data)
