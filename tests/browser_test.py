"""The check of pages fails where a page is wrong."""

import pytest

from tests.browser import assert_reads_well, needs_chromium

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"></head><body>
<div style="height: 400px" id="here"><a href="#here">up</a>{}</div></body></html>"""
WRONG = {
    "scrolls sideways": '<div style="width: 500px">wide</div>',
    "hidden at 390": '<div class="scroll" style="width: 300px; overflow-x: auto">'
    '<div style="width: 310px">columns</div></div>',
    "hidden at 1280": '<p class="sideways">Scroll.</p><div class="scroll" style="width:'
    ' 300px; overflow-x: auto"><div style="width: 310px">columns</div></div>',
    "lost": '<a href="#nowhere">gone</a>',
    "blank": '<img alt="gone" src="data:image/png;base64,AAAA">',
    "nowhere.csv": '<a href="nowhere.csv">gone</a>',
    "CONSOLE": "<script>missing()</script>",
}


@needs_chromium
@pytest.mark.parametrize("words", WRONG)
def test_what_is_wrong_with_a_page_is_found(words, tmp_path):
    (tmp_path / "index.html").write_text(PAGE.format(WRONG[words]))
    with pytest.raises(AssertionError, match=words):
        assert_reads_well(tmp_path / "index.html", tmp_path)


@needs_chromium
def test_a_page_with_nothing_wrong_passes(tmp_path):
    (tmp_path / "index.html").write_text(PAGE.format(""))
    assert_reads_well(tmp_path / "index.html", tmp_path)
