"""A page as headless Chromium shows it, on a phone and on a desk."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

KNOWN = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, KNOWN)), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason=f"none of {', '.join(KNOWN)} is installed"
)
PHONE, DESK = 390, 1280

# What a copy of the page writes down about itself once it is loaded.
PROBE = """<script>onload = () => {
  const all = (what) => [...document.querySelectorAll(what)];
  const root = document.documentElement;
  document.body.dataset.seen = JSON.stringify({
    wide: root.scrollWidth, room: root.clientWidth, tall: root.scrollHeight,
    blank: all("img").filter((i) => !i.complete || !i.naturalWidth).map((i) => i.alt),
    unseen: all("svg").filter((s) => s.getBoundingClientRect().width < 100).length,
    hidden: all(".scroll").filter((s) => s.scrollWidth > s.clientWidth + 1).map(
      (s) => [s.innerText.slice(0, 60), root.clientWidth > 600
        || !s.previousElementSibling?.matches(".sideways")
        || !s.previousElementSibling.getClientRects().length]
    ).filter(([_, wrong]) => wrong),
    lost: all('a[href^="#"]').map((a) => a.hash).filter(
      (h) => !document.getElementById(decodeURIComponent(h.slice(1)))),
  });
}</script></body>"""


def assert_reads_well(page: Path, scratch: Path) -> None:
    """The page never scrolls sideways; its images load and its links resolve.

    On a desk no table hides columns; on a phone one that does says so above.

    A window can be no narrower than 500 pixels, but a frame can: one for each width.
    """
    source = page.read_text()
    assert source.count("</body>") == 1
    (scratch / "page.html").write_text(source.replace("</body>", PROBE))
    frames = "".join(
        f'<iframe src="page.html" style="width:{width}px;height:900px"></iframe>'
        for width in (PHONE, DESK)
    )
    (scratch / "frames.html").write_text(
        f"<style>iframe {{ border: 0 }}</style>{frames}<script>onload = () => {{"
        "document.body.dataset.all = JSON.stringify([...document.querySelectorAll("
        "'iframe')].map((f) => JSON.parse(f.contentDocument.body.dataset.seen)))"
        "}</script>"
    )
    done = subprocess.run(
        [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--allow-file-access-from-files",
            "--enable-logging=stderr",
            f"--user-data-dir={scratch / 'profile'}",
            "--dump-dom",
            f"file://{scratch / 'frames.html'}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "CONSOLE" not in done.stderr, done.stderr
    told = re.search(r'data-all="([^"]+)"', done.stdout)
    assert told, f"{done.stdout[-500:]} {done.stderr[-500:]}"
    seen = json.loads(html.unescape(told[1]))
    assert len(seen) == 2
    for width, one in zip((PHONE, DESK), seen, strict=True):
        assert width - 20 <= one["room"] <= width and one["tall"] > 300
        assert one["wide"] <= one["room"], f"it scrolls sideways at {width} pixels"
        assert not one["hidden"], f"columns are hidden at {width} pixels: {one}"
        assert not one["blank"] and not one["unseen"] and not one["lost"], one
    for link in re.findall(r'\b(?:href|src)="([^"#][^"]*)"', source):
        if not link.startswith("data:"):
            assert (page.parent / link).exists(), link
