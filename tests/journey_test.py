"""The whole way of a stranger: his mixer in a file, a sweep, a page, a model, a file.

With the wheel, in an empty folder, and what he sees at each step.
"""

import base64
import importlib.util
import json
import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.command import ROOT
from tests.wheel_test import beside, built  # noqa: F401

STUDY = """
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Study

STUDIES = {
    "quick": Study(
        "mine_or_theirs",
        "Does a mean that decays recall?",
        "It recalls no better than a convolution.",
        Config(
            task="recall(length=16,pairs=2,vocabulary=16)",
            model=Model(width=16, layers=2),
            train=Train(steps=30, batch=8, eval_every=10, eval_batches=1),
        ),
        {"model.pattern": ("mine", "conv", "dense(heads=2)")},
        Population(seed=(0, 1), lr=(3e-3,)),
    )
}
"""
# The cells of his notebook; the last value of a cell is shown, and so is a figure.
CELLS = (
    """
import numpy as np
import attn_research as ar

rows = ar.results("runs/mine", plugins=["mine.py"])
sorted({row["mixer"] for row in rows}), len(rows)
""",
    """
restored = ar.load("runs/mine", mixer="mine", plugins=["mine.py"])
tokens_BT = np.arange(16)[None] % 16
logits_BTV = restored.model.apply(restored.params, tokens_BT)
np.save("logits.npy", logits_BTV)
print(logits_BTV.shape, restored.step, restored.config.model.pattern)
""",
    "restored",
    """
import matplotlib.pyplot as plt

for mixer in ("mine", "conv"):
    curve = [row for row in ar.curves("runs/mine", plugins=["mine.py"])
             if row["mixer"] == mixer and row["metric"] == "loss"]
    plt.plot([row["step"] for row in curve], [row["value"] for row in curve], "o")
len(curve)
""",
    'ar.load("runs/mine", mixer="theirs", plugins=["mine.py"])',
)
# Runs each cell of best.ipynb where it lies; a cell may fail.
EXECUTE = """
import sys
import nbclient, nbformat
from nbformat.v4 import new_code_cell, new_notebook

nbformat.write(new_notebook(cells=[new_code_cell(c) for c in sys.argv[1:]]),
               "best.ipynb")
book = nbformat.read("best.ipynb", as_version=4)
nbclient.NotebookClient(book, timeout=120, allow_errors=True).execute()
nbformat.validate(book)
nbformat.write(book, "best.ipynb")
"""
AGAIN = """
import numpy as np
import attn_research as ar

restored = ar.load("mine.safetensors", plugins=["mine.py"])
logits_BTV = restored.model.apply(restored.params, np.arange(16)[None] % 16)
np.testing.assert_array_equal(logits_BTV, np.load("logits.npy"))
print("the same bits")
"""


# What moves a terminal's cursor, and its colours.
MOVES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(command: list[str], folder: Path, environment: dict) -> str:
    """What a command draws on a terminal of 120 columns, without what moves there."""
    ours, theirs = pty.openpty()
    size = {"COLUMNS": "120", "LINES": "40", "TERM": "xterm"}
    child = subprocess.Popen(
        command,
        cwd=folder,
        env={**environment, **size},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        close_fds=True,
    )
    os.close(theirs)
    drawn = b""
    with open(ours, "rb", buffering=0) as screen:
        try:
            while part := screen.read(4096):
                drawn += part
        except OSError:  # how Linux says that the other end is closed
            pass
    text = MOVES.sub("", drawn.decode()).replace("\r", "\n")
    assert child.wait() == 0, text
    return text


def text(outputs: list[dict]) -> str:
    """What a cell of a notebook wrote: its prints and its last value."""
    parts = [out.get("text", out.get("data", {}).get("text/plain")) for out in outputs]
    return "".join("".join(part) for part in parts if part)


@pytest.mark.slow
def test_a_stranger_goes_all_the_way_with_a_mixer_of_his_own(built, tmp_path):  # noqa: F811
    python = beside(tmp_path / "venv", built)
    folder = tmp_path / "empty"
    folder.mkdir()
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "CHECKOUT")}

    kept |= {"PYTHONSAFEPATH": "1", "XLA_FLAGS": "", "ATTN_RESEARCH_LINE_SECONDS": "1"}

    def run(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [str(python.with_name(words[0])), *words[1:]],
            cwd=folder,
            env=kept,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def ours(*words: str, code: int = 0) -> str:
        return run("attn-research", *words, code=code)

    # He asks for his mixer before it is there, then writes it into a file.
    plugin = "--plugin=mine.py"
    assert "Unknown mixer" in ours("train", "--model.pattern=mine", "--out=x", code=65)
    shutil.copy(ROOT / "tests" / "mine.py", folder / "mine.py")
    said = ours("check", "mine", plugin)
    assert "mine: shape: kept" in said and "broken" not in said

    # He compares it with two of ours, and watches: lines without a terminal, on one a
    # table; the same command goes on with what is left.
    (folder / "own.py").write_text(STUDY)
    sweep = ["sweep", "--experiment=own.py", plugin, "--out=runs/mine"]
    assert "3 cells" in ours(*sweep, "--dry_run")
    said = ours(*sweep, "--only=1/3")
    assert re.search(r"^0 of 1 cells done, 1 running.*; \[1\] mine .*", said, re.M), (
        said
    )
    assert re.search(r"^\[1/1\] \w+ .* in \d+ s$", said, re.M), said
    assert "1 done" in ours("sweep", "--out=runs/mine", "--status", plugin)
    command = [str(python.with_name("attn-research")), *sweep]
    said = on_a_terminal(command, folder, kept)
    header = r"cell +pattern +members +step +phase +left +best / median / worst"
    assert re.search(header, said), said
    assert re.search(r"^ *\d +conv +2 +0/30 +starting \d", said, re.M), said
    assert re.search(r"^2 of 3 cells done, 1 running", said, re.M), said
    assert len(re.findall(r"^\[\d/3\] \w+ .* in \d+ s *$", said, re.M)) == 2, said
    assert "results.csv: 6 members of finished cells." in said
    ranking = said[said.index("results.csv") :]
    for mixer in ("mine", "conv", "dense(heads=2)"):
        assert re.search(rf"{re.escape(mixer)}\s", ranking), ranking
    page = re.search(r"^The page of the study: (.*)$", said, re.M)
    assert page and page[1].endswith("attn-research report runs/mine"), said
    assert "3 done" in ours("sweep", "--out=runs/mine", "--status", plugin)

    # He opens the page: the learning curves come first of all figures.
    assert "Report: " in ours("report", "runs/mine", plugin)
    html = (folder / "runs/mine/report/index.html").read_text()
    assert "Does a mean that decays recall?" in html and "mine" in html
    above = re.findall(r'<h2 id="([^"]+)">', html[: html.index("<figure>")])
    assert above[0] == "setup" and above[-1].startswith("learning"), above

    # He loads the best member of his mixer in a notebook, predicts and draws.
    run("python", "-c", EXECUTE, *CELLS)
    book = json.loads((folder / "best.ipynb").read_text())
    assert [cell["execution_count"] for cell in book["cells"]] == [1, 2, 3, 4, 5]
    rows, told, shown, drawn, wrong = (cell["outputs"] for cell in book["cells"])
    assert "(['conv', 'dense(heads=2)', 'mine'], 6)" in text(rows)
    assert "(1, 16, 16) 30 mine(decay=0.9)" in text(told)
    assert "mine(decay=0.9)" in text(shown) and len(text(shown).splitlines()) == 1
    (image,) = (out["data"]["image/png"] for out in drawn if "data" in out
                and "image/png" in out["data"])  # fmt: skip
    assert len(base64.b64decode(image)) > 1_000
    assert text(drawn).startswith("6"), drawn  # two members at three evaluations
    assert wrong[0]["ename"] == "BadInput" and "theirs" in wrong[0]["evalue"]
    assert not any(out["output_type"] == "error" for out in rows + told + shown + drawn)

    # He takes it along as one file.
    export = ["export", "runs/mine", "--mixer=mine", plugin, "--out=mine.safetensors"]
    if importlib.util.find_spec("safetensors") is None:
        assert "pip install 'attn_research[export]'" in ours(*export, code=65)
        return
    said = ours(*export)
    assert re.search(
        r"mine\.safetensors: member \d of .* at step 30, [\d,]+ bytes", said
    )
    assert "the same bits" in run("python", "-c", AGAIN)
    data = bytearray((folder / "mine.safetensors").read_bytes())
    data[-1] ^= 1
    Path(folder / "mine.safetensors").write_bytes(data)
    code = "import attn_research as ar; ar.load('mine.safetensors')"
    assert "mine.safetensors is damaged" in subprocess.run(
        [str(python), "-c", code], cwd=folder, capture_output=True, text=True
    ).stderr  # fmt: skip
