"""References to other hosts are found, whatever form they have."""

import pytest

from tools.remote_references import remote_references


@pytest.mark.parametrize(
    "markup",
    [
        '<script src="https://example.org/a.js"></script>',
        '<script>import("https://example.org/a.js")</script>',
        '<link rel="stylesheet" href="http://example.org/a.css">',
        '<img src="//example.org/a.png">',
        "<style>@import 'https://example.org/a.css';</style>",
        "<style>a { background: url(https://example.org/a.png) }</style>",
        "<p style=\"background: url('https://example.org/a.png')\">",
        '<iframe src="https://example.org"></iframe>',
    ],
)
def test_remote_references_are_found(markup):
    assert remote_references(f"<html><body>{markup}</body></html>")


def test_links_to_follow_are_no_remote_references():
    assert (
        remote_references('<a href="https://example.org">https://example.org</a><img src="data:image/png;base64,//8">')
        == []
    )


@pytest.mark.parametrize(
    "markup",
    [
        "<style>a { color: red }</style><p>@import 'https://example.org/a.css'</p>",
        "<script>let a = 1</script><p>https://example.org</p>",
        '<p title="url(https://example.org/a.png)" style>',
        '<a style="color: red" href="//example.org">',
    ],
)
def test_what_only_looks_like_a_remote_reference_is_none(markup):
    assert remote_references(f"<html><body>{markup}</body></html>") == []


def test_tags_inside_a_script_do_not_end_it():
    assert remote_references('<script>"</b>"; fetch("https://example.org/a")</script>') == ["https://example.org/a"]
