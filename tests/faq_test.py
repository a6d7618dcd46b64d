"""Every answer of docs/faq.md is what the code does: its sentences, what it says."""

import dataclasses
import math
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import attn_research as ar
from attn_research import loop, plugins, tasks
from attn_research.analysis.statistics import mean_interval
from attn_research.config import Config, Model, Population, Train, edit
from attn_research.host import environment, exits, layout, memory, slots
from attn_research.loop import claim
from attn_research.modules import models
from attn_research.options import BadInput
from attn_research.studies import store
from attn_research.studies.judging import findings
from attn_research.studies.study import Expectation, Study, cells
from attn_research.tasks.data import packed
from attn_research.training import program
from tests.command import ROOT, command

FAQ = (ROOT / "docs" / "faq.md").read_text()
SENTENCES = re.findall(r"^> `(.*)`$", FAQ, re.M)
QUESTIONS = re.findall(r"^\*\*(.*?)\*\*", FAQ, re.M)
TINY = Config(
    task="recall(length=16,pairs=2,vocabulary=16)",
    model=Model(layers=1, width=8, pattern="conv"),
    train=Train(
        steps=2, batch=2, eval_every=1, eval_batches=1, test_batches=1, decode=0
    ),
)


@pytest.fixture(autouse=True)
def within(tmp_path, monkeypatch):
    """An empty working directory, in which the pages' names of runs are free."""
    monkeypatch.chdir(tmp_path)


def said(script: str, *arguments: str) -> str:
    """The sentence with which a command refuses."""
    ended = command(script, *arguments)
    assert ended.code == exits.BAD_INPUT, ended.out + ended.err
    return ended.err.removeprefix("Error: ").strip()


def raised(call, *given, **named) -> str:
    with pytest.raises(BadInput) as error:
        call(*given, **named)
    return str(error.value)


def begun(data: str = "") -> None:
    """A run in runs/a that has begun."""
    Path("runs/a").mkdir(parents=True)
    layout.write_config("runs/a", TINY, Population(), {}, data)
    (Path("runs/a") / layout.METRICS).touch()


def another_run() -> str:
    begun()
    return said("train", "--out=runs/a")


def no_run() -> str:
    Path("runs/a").mkdir(parents=True)
    Path("runs/a/letter.txt").touch()
    return said("train", "--out=runs/a")


def other_data() -> str:
    begun("another digest")
    task = tasks.make(TINY.task)
    place = Path("runs/a")
    return raised(claim.described, place, TINY, Population(), task, task.arrays())


def too_large() -> str:
    needed = next(n for n in range(10**10, 10**11, 10**7) if _wanted(n) == "41.20")
    return raised(memory.require, needed, 21_200_000_000)


def _wanted(needed: int) -> str:
    return f"{memory.with_margin(needed) / 1e9:.2f}"


def mixer(spec: str, **named):
    return ar.mixer(spec, width=16, causal=True, rngs=nnx.Rngs(0), **named)


def unplugged() -> str:
    known = {"source": "my_mixers.py", "digest": "none", "entries": "mixer.none"}
    return raised(plugins.require, {"my_mixers": known}, "runs/a")


# The first words of a sentence -> what provokes it.
PROVOKED = {
    "Unknown flag --model.patern": lambda: said("train", "--model.patern=dense"),
    "Unknown option of window 'size'": lambda: raised(mixer, "window(size=3)"),
    "--init.member does nothing": lambda: said("train", "--init.member=0", "--out=x"),
    "--set is 'lr=1e-3'": lambda: said(
        "sweep", "--experiment=recall_distance", "--out=x", "--set", "lr=1e-3"
    ),
    "runs/a holds another run": another_run,
    "runs/a is not empty and holds no run": no_run,
    "The run was started in another environment": lambda: raised(
        environment.require_same, {"jax": "0.10.2"}, {"jax": "0.12.0"}
    ),
    "The data of --task=": other_data,
    "... needs about 41.20 GB": too_large,
    "'hyena' is sized by the length": lambda: raised(mixer, "hyena"),
    "The data set movie_reviews is not prepared": lambda: raised(
        packed.manifest, "movie_reviews", "sets"
    ),
    "... needs the plugin 'my_mixers'": unplugged,
}


def form(sentence: str) -> re.Pattern[str]:
    """A quoted sentence, in which three dots stand for anything."""
    return re.compile(
        ".+".join(map(re.escape, sentence.split("..."))).removeprefix(".+")
    )


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_is_that_of_the_code(sentence):
    (provoke,) = [f for start, f in PROVOKED.items() if sentence.startswith(start)]
    told = provoke()
    assert form(sentence).search(told), told
    # Nothing is left out where the page shows none.
    if not sentence.endswith("...") and not sentence.startswith("..."):
        assert form(sentence).fullmatch(told), told


def test_another_sentence_is_not_taken_for_it():
    pattern = form("... needs 3 GB; lower ... or width")
    assert pattern.search("The run needs 3 GB; lower batch or width")
    assert not pattern.search("The run needs 4 GB; lower batch or width")


# --- answers without a sentence ------------------------------------------------------


def compilation():
    """With `--model.scan` the program of a deep model is no longer."""

    def lines(layers: int, scan: bool) -> int:
        config = edit(TINY, {"model.layers": layers, "model.scan": scan})
        sizes = program.sizes(tasks.make(config.task))
        model = models.build(config.model, sizes)
        params = jax.eval_shape(model.init, jax.random.key(0))
        tokens_BT = jax.ShapeDtypeStruct((2, 16), jnp.int32)
        return len(str(jax.make_jaxpr(model.apply)(params, tokens_BT)).splitlines())

    assert lines(16, scan=True) < 1.5 * lines(4, scan=True) < lines(16, scan=False)


def workers():
    """A cell has its share of the cores; more workers than cores share them."""
    assert [len(slot.cores) for slot in slots.divide(1, [0, 1], [])] == [2]
    assert [len(slot.cores) for slot in slots.divide(2, [0, 1], [])] == [1, 1]
    assert [len(slot.cores) for slot in slots.divide(4, [0, 1], [])] == [1] * 4


def boolean_mask():
    dense, x_BTD = mixer("dense(heads=2)"), jnp.ones((1, 3, 16))
    mask_BT = np.array([[True, True, False]])
    assert "attn_research.segments(mask)" in raised(dense, x_BTD, mask_BT)
    assert dense(x_BTD, ar.segments(mask_BT)).shape == x_BTD.shape


def cannot_decode():
    both = ar.mixer("dense(heads=2)", width=16, causal=False, rngs=nnx.Rngs(0))
    assert "causal" in raised(both.start, 1, 8)
    mixer("dense(heads=2)").start(1, 8)


def undecided():
    """Student's interval in standard errors, at two seeds and at five."""
    for values, told in (((0.0, 2.0), 12.7), ((-2.0, -1.0, 0.0, 1.0, 2.0), 2.8)):
        assert f"{told}" in FAQ
        mean, low, high = mean_interval(values)
        error = np.std(values, ddof=1) / math.sqrt(len(values))
        assert round((high - mean) / error, 1) == round((mean - low) / error, 1) == told
    crossing = Expectation("c", lambda rows: mean_interval((0.0, 2.0)), low=0.5)
    assert findings(Study("s", "?", "c", expectations=(crossing,)), [])[0].holds is None


def single_seed():
    mean, low, high = mean_interval([0.5])
    assert mean == 0.5 and math.isnan(low) and math.isnan(high)


def damaged():
    study = Study("s", "?", "c", TINY, {"model.pattern": ("conv", "linear")})
    opened = store.open_study("study", study, cells(study))
    (store.place("study", opened.ids[0]) / layout.CONFIG).write_text("{")
    first, second = store.status("study")
    assert (first.state, second.state) == ("damaged", "waiting")
    assert layout.CONFIG in str(first)


def diverged():
    code = loop.run(TINY, Population(lr=(1e30,)), "runs/a")
    assert code == exits.ALL_DIVERGED == 3
    one = dataclasses.replace(Population(), lr=(1e-3,))
    two = dataclasses.replace(Population(), lr=(1e30, 1e-3))
    assert loop.run(TINY, one, "runs/b") == loop.run(TINY, two, "runs/c") == 0
    alone, beside = (layout.read_result(f"runs/{name}") for name in "bc")
    assert alone and beside and beside["members"][0]["status"] == "diverged"
    assert beside["members"][1]["test"] == alone["members"][0]["test"]


ANSWERED = {
    "Why does nothing happen at first?": compilation,
    "Why do more workers not help on two cores?": workers,
    "My boolean mask is refused.": boolean_mask,
    "My mixer cannot decode.": cannot_decode,
    'Why is my best mixer "undecided"?': undecided,
    "Why does a single seed have no interval?": single_seed,
    "A cell is `damaged` or `unreadable`.": damaged,
    "All members diverged (exit code 3).": diverged,
}


@pytest.mark.parametrize(
    "question",
    [
        pytest.param(q, marks=[pytest.mark.slow] * (ANSWERED.get(q) is diverged))
        for q in QUESTIONS
    ],
)
def test_an_answer_is_what_happens(question):
    ANSWERED[question]()


def test_every_answer_is_held_to_the_code():
    assert len(SENTENCES) == len(PROVOKED) and len(QUESTIONS) == len(ANSWERED)
    assert len(SENTENCES) + len(QUESTIONS) >= 20
