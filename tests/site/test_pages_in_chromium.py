"""The built site in Chromium: every page, wide and narrow, light and dark. `make test-site` builds it before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from sam_edu.explorer.situations import SITUATIONS
from tools.find_browsers import find_chromium
from tools.make_glossary import TERMS

pytestmark = pytest.mark.site

SITE = Path(__file__).resolve().parents[2] / "build" / "html"
GENERATED = ("genindex.html", "py-modindex.html", "search.html")
PAGES = sorted(str(path.relative_to(SITE)) for path in SITE.rglob("*.html") if path.name not in GENERATED)
NOTEBOOKS = [page for page in PAGES if page.startswith("notebooks/") and page[10].isdigit()]
FOLD = 900
WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
"""The rules of the Web Content Accessibility Guidelines up to 2.2, levels A and AA."""

# Whether the page is wider than the window, and by which element; what scrolls in a box of its own does not widen it.
TOO_WIDE = """() => {
    const width = document.documentElement.clientWidth;
    return document.documentElement.scrollWidth > width ? [document.documentElement.scrollWidth, width] : null;
}"""
CONTRAST = """() => {
    const luminance = c => {
        const [r, g, b] = c.match(/[\\d.]+/g).map(Number).slice(0, 3).map(v => {
            v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const body = getComputedStyle(document.body), text = getComputedStyle(document.querySelector("article p"));
    const [a, b] = [luminance(body.backgroundColor), luminance(text.color)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert PAGES, f"{SITE} holds no pages: make site"
    with sync_playwright() as driver:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        chromium = driver.chromium.launch(executable_path=find_chromium(), args=arguments)
        yield chromium
        chromium.close()


def opened(browser: Browser, page: str, messages: list[str], **options: Any) -> Page:
    """A page, and what it says on the console, what fails, and what it asks of other hosts."""
    options.setdefault("viewport", {"width": 1280, "height": FOLD})
    window = browser.new_context(**options).new_page()
    window.on("console", lambda message: messages.append(f"{message.type}: {message.text}"))
    window.on("pageerror", lambda error: messages.append(f"error: {error}"))
    window.on("requestfailed", lambda request: messages.append(f"failed: {request.url}"))
    window.on("request", lambda request: messages.append(request.url) if request.url.startswith("http") else None)
    name, query, value = page.partition("?")
    window.goto((SITE / name).as_uri() + query + value)
    return window


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("page", PAGES)
def test_page_fits_says_nothing_and_asks_no_other_host(browser: Browser, page: str, width: int) -> None:
    messages: list[str] = []
    window = opened(browser, page, messages, viewport={"width": width, "height": FOLD})
    schemes: tuple[Any, ...] = ("light", "dark")
    for scheme in schemes:
        window.emulate_media(color_scheme=scheme)
        assert window.evaluate(TOO_WIDE) is None
        if window.locator("article p").count():
            assert window.evaluate(CONTRAST) >= 7
    assert messages == []
    window.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", ["index.html", "notebooks/00_the_whole_decoder.html", "notebooks/COVERAGE.html"])
def test_axe_finds_no_obstacle(browser: Browser, page: str, scheme: Any) -> None:
    window = opened(browser, page, [], color_scheme=scheme)
    found = Axe().run(window, options={"runOnly": list(WCAG)}).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:150]) for one in found] == []
    window.context.close()


@pytest.mark.parametrize("page", ["index.html", *NOTEBOOKS])
def test_figures_are_loaded_and_have_alt_texts(browser: Browser, page: str) -> None:
    window = opened(browser, page, [])
    images = window.locator("article img")
    assert images.count() > 0
    for i in range(images.count()):
        image = images.nth(i)
        if image.evaluate("one => one.closest('.sd-card') !== null"):
            continue  # a card's image decorates its title
        assert len(image.get_attribute("alt") or "") > 20
        image.scroll_into_view_if_needed()
        image.evaluate("one => one.decode()")  # raises where the file is missing or broken
    window.context.close()


@pytest.mark.parametrize("page", ["index.html", "poster.html", *NOTEBOOKS])
def test_first_figure_begins_above_the_fold(browser: Browser, page: str) -> None:
    window = opened(browser, page, [])
    top = window.locator("article img").first.bounding_box()
    assert top is not None
    assert top["y"] + 60 < FOLD  # its title and the beginning of what it shows
    window.context.close()


@pytest.mark.parametrize("page", PAGES)
def test_every_link_within_the_site_leads_somewhere(browser: Browser, page: str) -> None:
    window = opened(browser, page, [])
    links = window.eval_on_selector_all("a[href]", "all => all.map(one => one.href)")
    for link in sorted({link for link in links if link.startswith("file:")}):
        parts = urlsplit(link)
        target = Path(unquote(parts.path))
        assert target.is_file(), link
        if target == SITE / "explorer" / "index.html":
            # What stands behind the # is a state there, and each notebook has its own.
            assert json.loads(unquote(parts.fragment) or "{}") == SITUATIONS.get(Path(page).name[:2], {}), link
        elif parts.fragment and target.suffix == ".html":
            text = target.read_text(encoding="utf-8")
            assert f'id="{unquote(parts.fragment)}"' in text, link
    window.context.close()


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_notebook_has_contents_neighbours_download_and_folds(browser: Browser, page: str) -> None:
    window = opened(browser, page, [], viewport={"width": 1500, "height": FOLD})
    assert window.locator(".toc-tree a").count() > 5
    assert window.locator(".related-pages a").count() == 2
    download = window.locator(".buttons a[download]")
    assert download.count() == 1
    assert (SITE / "_static" / "notebooks" / f"{Path(page).stem}.ipynb").is_file()
    folded = window.locator("details.hide")
    assert folded.count() > 0
    assert folded.first.get_attribute("open") is None
    folded.first.locator("summary").click()
    assert folded.first.locator("pre").is_visible()
    window.context.close()


@pytest.mark.parametrize("page", ["index.html", *NOTEBOOKS])
def test_without_scripts_a_page_says_no_less(browser: Browser, page: str) -> None:
    texts = []
    for scripts in (True, False):
        window = browser.new_context(java_script_enabled=scripts).new_page()
        window.goto((SITE / page).as_uri())
        texts.append(" ".join(window.locator("article").inner_text().split()))
        window.context.close()
    assert len(texts[1]) > 500
    assert texts[0].replace(" Copy", "") == texts[1]


@pytest.mark.parametrize("page", PAGES)
def test_preview_and_description(browser: Browser, page: str) -> None:
    window = opened(browser, page, [])

    def content(name: str) -> str:
        return window.locator(f'meta[property="{name}"], meta[name="{name}"]').first.get_attribute("content") or ""

    assert len(content("og:title")) > 3
    assert len(content("description")) > 40
    assert content("og:description") == content("description")
    assert (SITE / page).parent.joinpath(content("og:image")).resolve().is_file()
    window.context.close()


def test_descriptions_differ() -> None:
    found = [
        (SITE / page).read_text(encoding="utf-8").partition('name="description" content="')[2].partition('"')[0]
        for page in PAGES
    ]
    assert len(set(found)) == len(found)


def test_search_finds_a_word(browser: Browser) -> None:
    messages: list[str] = []
    window = opened(browser, "search.html?q=hypernetwork", messages)
    window.locator("#search-results li a").first.wait_for()
    assert "hypernetwork" in " ".join(window.locator("#search-results").inner_text().lower().split())
    window.context.close()


def test_terms_are_linked_in_the_notebook_that_introduces_them() -> None:
    unlinked = set()
    for term in TERMS:
        [page] = [page for page in NOTEBOOKS if page.startswith(f"notebooks/{term.notebook}_")]
        if f'GLOSSARY.html#term-{term.ours.lower().replace(" ", "-")}"' not in (SITE / page).read_text(
            encoding="utf-8"
        ):
            unlinked.add(term.ours)
    assert unlinked == {"output token", "padding token", "multimask"}  # which stand there in no prose, or in parts


def test_code_has_a_button_that_copies_it(browser: Browser) -> None:
    window = opened(browser, "notebooks/02_attention.html", [])
    window.context.grant_permissions(["clipboard-read", "clipboard-write"])
    cell = window.locator("div.cell_input:visible").first
    cell.hover()
    cell.locator("button.copybtn").click()
    assert cell.locator("pre").inner_text().strip() == window.evaluate("navigator.clipboard.readText()").strip()
    window.context.close()


def test_the_poster_can_be_read_at_its_own_size(browser: Browser) -> None:
    window = opened(browser, "poster.html", [])
    zoom = window.locator(".zoom")
    zoom.scroll_into_view_if_needed()
    zoom.locator("img").evaluate("one => one.decode()")
    assert zoom.evaluate("one => one.scrollWidth") > 2 * zoom.evaluate("one => one.clientWidth")
    window.context.close()


def test_first_use_of_a_term_leads_into_the_glossary(browser: Browser) -> None:
    window = opened(browser, "notebooks/02_attention.html", [])
    link = window.locator("a.term", has_text="head").first
    link.click()
    window.wait_for_load_state()
    assert window.url.endswith("GLOSSARY.html#term-head")
    assert window.locator("#term-head").inner_text().count("head")
    window.context.close()
