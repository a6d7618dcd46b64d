"""The public kit: it keeps what is right, and names the law that is broken."""

import dataclasses
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

import attn_research as ar
from attn_research import tasks
from attn_research.modules import MIXERS
from attn_research.modules.contract import Preset, preset
from attn_research.options import BadInput
from attn_research.tasks import TASKS
from attn_research.tasks.adding import Adding
from attn_research.tasks.recall import Recall
from attn_research.testing import LawBroken, check_mixer, check_task
from attn_research.testing.laws.drawn import draws, values
from attn_research.testing.tasks import LAWS
from tests.broken_mixers import BROKEN
from tests.broken_parts import FAULTY_OPTION
from tests.command import assert_one_sentence, command

BUGS = (
    "the next token leaks in",
    "a window one too wide",
    "ignores padding",
    "sees a packed neighbour",
    "the carry forgets",
    "takes any carry",
    "forgets state",
    "divides by zero",
    "float32 comes back for bfloat16",
    "holds more than parameters",
)


@pytest.mark.parametrize("bug", BUGS)
def test_a_broken_mixer_is_told_with_its_law_and_its_smallest_case(bug):
    law, case = BROKEN[bug]
    given = {
        field.name: getattr(case.options, field.name)
        for field in dataclasses.fields(case.options)
    }
    mixer = preset(case.mixer, type(case.options), **given)
    with pytest.raises(LawBroken) as caught:
        check_mixer(mixer, law)
    (line,) = str(caught.value).splitlines()
    name = case.mixer.__name__
    assert line.startswith(f"{law}: broken by {name}, causal: "), line


def test_every_law_of_a_mixer_has_its_say():
    """What breaks one law is found if all are asked, and the others are not named."""
    case = BROKEN["forgets state"].case
    mixer = Preset(case.mixer, type(case.options))
    with pytest.raises(LawBroken) as caught:
        check_mixer(mixer, "shape", "rows", "cost", "carry")
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["cost"]


def test_the_smallest_options_that_break_a_law_are_told(monkeypatch):
    monkeypatch.setitem(MIXERS, "faulty", FAULTY_OPTION)
    with pytest.raises(LawBroken) as caught:
        check_mixer("faulty", "drawn")
    told = str(caught.value)
    assert told.startswith("drawn: broken by faulty(qk_norm=true), causal: "), told
    assert "token by token" in told
    # Options that are given stay only if they are needed.
    with pytest.raises(LawBroken, match=r"broken by faulty\(qk_norm=true\), causal"):
        check_mixer("faulty(qk_norm=true,heads=2,bias=true)", "step")


def test_room_is_given_by_name():
    check_mixer("conv", "shape", "step", same=1e-5)
    with pytest.raises(BadInput, match="Unknown bound of a law 'sane'"):
        check_mixer("conv", "shape", sane=1e-5)
    with pytest.raises(BadInput, match="Unknown law 'shapes'; did you mean|'shape'"):
        check_mixer("conv", "shapes")
    with pytest.raises(BadInput, match="Unknown mixer 'conf'"):
        check_mixer("conf")
    with pytest.raises(BadInput, match="is no mixer; it must be a spec or a class"):
        check_mixer(3)  # type: ignore
    with pytest.raises(BadInput, match="must fit that width"):
        check_mixer("dense(heads=3)")


def test_a_mixer_of_one_direction_is_judged_in_that_one():
    check_mixer("linformer(slots=4,heads=2)", "shape", "rows")


def test_options_are_drawn_alike_each_time_and_within_their_bounds():
    table = MIXERS["dense"].Options
    first, again = list(draws(table, 20)), list(draws(table, 20))
    assert first == again and len(set(first)) == 20
    for name, choice in values(table).items():
        assert {getattr(one, name) for one in first} <= set(choice)
    changed = [
        sum(getattr(one, n) != c[0] for n, c in values(table).items()) for one in first
    ]
    assert 0 < min(changed) or max(changed) > 2


def broken_task(good: type, **methods) -> object:
    return type(f"Broken{good.__name__}", (good,), methods)()


def spoiled(good: type, spoil) -> object:
    """A task with its batches spoiled: spoil(task, batch, key, split)."""

    def batch(self, key, split, size, arrays=()):
        return spoil(self, good.batch(self, key, split, size, arrays), key, split)

    return broken_task(good, batch=batch)


def pooled(task, batch, key, split):
    """Rows of one small pool, whatever the split."""
    place = jax.random.randint(key, (), 0, 8)
    place = jax.random.fold_in(jax.random.key(0), place)
    return Recall.batch(task, place, "train", batch.inputs.shape[0])


class Loose(Recall):
    """Recall with an option that changes whenever it is made."""

    def __post_init__(self):
        object.__setattr__(self, "pairs", self.pairs - 1)


TASK_FAULTS = {
    "splits by an if": (
        "batch",
        spoiled(Recall, lambda s, b, k, split: b if split == 0 else b),
    ),
    "another vocabulary": (
        "inputs",
        spoiled(Recall, lambda s, b, k, p: b._replace(inputs=b.inputs + 90)),
    ),
    "a position too few": (
        "inputs",
        spoiled(Recall, lambda s, b, k, p: b._replace(inputs=b.inputs[:, 1:])),
    ),
    "bytes as tokens": (
        "inputs",
        spoiled(
            Recall, lambda s, b, k, p: b._replace(inputs=b.inputs.astype(jnp.uint8))
        ),
    ),
    "answers outside": (
        "targets",
        spoiled(Recall, lambda s, b, k, p: b._replace(targets=b.targets + 90)),
    ),
    "no answer": (
        "targets",
        spoiled(Recall, lambda s, b, k, p: b._replace(weights=0 * b.weights)),
    ),
    "more answers than labels": (
        "targets",
        spoiled(Recall, lambda s, b, k, p: b._replace(weights=b.weights + 1)),
    ),
    "a gap beyond the sequence": (
        "targets",
        spoiled(Recall, lambda s, b, k, p: b._replace(gap=b.gap + 64)),
    ),
    "one batch for all keys": (
        "differ",
        spoiled(
            Recall, lambda s, b, k, p: b._replace(inputs=jnp.full_like(b.inputs, 3))
        ),
    ),
    "a test of training rows": ("apart", spoiled(Recall, pooled)),
    "few rows and no word of it": (
        "apart",
        broken_task(TASKS["parity"], notes=lambda self, arrays: ["Bits are few."]),
    ),
    "numbers that are not": (
        "finite",
        spoiled(Adding, lambda s, b, k, p: b._replace(inputs=b.inputs * jnp.nan)),
    ),
    "another by its name": (
        "names",
        spoiled(
            Recall,
            lambda s, b, k, p: (
                b._replace(inputs=(b.inputs + 1) % 8) if isinstance(p, str) else b
            ),
        ),
    ),
    "options that move": ("spelled", Loose()),
}


@pytest.mark.parametrize("fault", TASK_FAULTS)
def test_a_broken_task_is_told_with_its_law(fault):
    law, task = TASK_FAULTS[fault]
    with pytest.raises(LawBroken) as caught:
        check_task(task, law)
    assert str(caught.value).startswith(f"{law}: broken by {type(task).__name__}: ")


def test_a_task_of_few_rows_may_say_so():
    check_task("parity(length=6,test_length=20)", "apart")
    with pytest.raises(LawBroken, match=r"apart: .*: \d+ of 256 rows of test are among "
                       "256 rows of train, and no note"):  # fmt: skip
        check_task(broken_task(TASKS["parity"], notes=lambda self, arrays: []), "apart")


def test_batches_that_are_no_function_of_the_key_are_told():
    """The clock in a compiled function is read once: it is drawn anew here."""
    from attn_research.testing import tasks as kit

    one = kit.draw(TASKS["recall"](length=16, pairs=2))
    two = kit.draw(TASKS["recall"](length=16, pairs=3))
    kit.law_repeats(one)
    with pytest.raises(AssertionError, match="train of key 0 differs"):
        kit.law_repeats(one._replace(draw=two.draw))


def test_every_law_of_a_task_can_fail():
    faults = {law for law, _ in TASK_FAULTS.values()} | {"repeats"}
    assert faults == {"batch", *LAWS}


def test_a_task_of_ours_keeps_all_laws():
    check_task("recall(length=16,pairs=2)")
    assert set(ar.testing.task_laws()) == {"batch", *LAWS}


@pytest.mark.parametrize("given", [None, 5, Recall, tasks.Spec], ids=str)
def test_what_is_no_task_is_said(given):
    with pytest.raises(BadInput, match="is no task; it must be a spec or what"):
        check_task(given)


def test_the_command_judges_and_lists():
    ended = command("check", "conv", "adding(length=8)", "--law=shape")
    assert_one_sentence(ended._replace(out=""), "Unknown law 'shape'")
    ended = command("check", "conv", "--law=shape,rows")
    assert ended.code == 0
    assert ended.out == "conv: shape: kept\nconv: rows: kept\n"
    ended = command("check", "--list")
    assert ended.code == 0 and "mixer padding" in ended.out
    assert "task differ" in " ".join(ended.out.split())
    for flags, words in (
        ([], "there must be a mixer or a task"),
        (["danse"], "Unknown mixer or task 'danse'"),
        (["conv", "--list"], "conv must be left out"),
        (["--list", "--law=shape"], "--law does nothing with --list"),
    ):
        assert_one_sentence(command("check", *flags), words)


def test_the_command_ends_with_1_if_a_law_is_broken(monkeypatch):
    monkeypatch.setitem(MIXERS, "faulty", FAULTY_OPTION)
    ended = command("check", "faulty(qk_norm=true)", "--law=shape,step")
    assert ended.code == 1
    assert "faulty(qk_norm=true): shape: kept\n" in ended.out
    assert "step: broken by faulty(qk_norm=true), causal: " in ended.out


def test_the_kit_needs_no_flags_no_pytest_and_no_second_device():
    code = (
        "import sys; sys.modules['hypothesis'] = sys.modules['pytest'] = None\n"
        "import jax, attn_research as ar\n"
        "assert len(jax.devices()) == 1\n"
        "ar.testing.check_mixer('conv', 'shape', 'cost')\n"
        "ar.testing.check_task('adding(length=8)', 'inputs')\n"
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XLA_", "JAX_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=kept, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_without_assertions_nothing_is_judged():
    code = (
        "from attn_research import testing\n"
        "try: testing.check_mixer('conv', 'shape')\n"
        "except ValueError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-O", "-c", code], capture_output=True, text=True
    )
    assert "must run without" in done.stdout, done.stderr
