"""Checkpoints as they are read: damage, other structures, readers beside a writer."""

import threading

import jax
import jax.numpy as jnp
import pytest

from attn_research.checkpoint import Writer, read, steps
from attn_research.host.durable import Damaged
from attn_research.options import BadInput
from tests.checkpoints import same, saved, shapes, tree


def test_damage_is_set_aside_and_the_step_before_is_used(tmp_path):
    saved(tmp_path, 1, 2)
    flip(next((tmp_path / "00000002" / "a").rglob("d/*")))
    told = []
    with Writer(tmp_path, report=told.append) as writer:
        found = writer.restore({"a": shapes(tree())})
    assert found is not None and found[0] == 1 and same(found[1]["a"], as_saved(1))
    assert len(told) == 1 and "00000002 is damaged" in told[0]
    assert "\n" not in told[0]
    assert (tmp_path / "_bad" / "00000002").is_dir() and steps(tmp_path) == [1]


def as_saved(step):
    return jax.tree.map(jnp.asarray, tree(step))


def flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


def test_another_structure_is_refused_and_nothing_is_moved(tmp_path):
    saved(tmp_path, 1)
    good = tree()
    for change, words in (
        ({**good, "more": jnp.ones(1)}, "more is missing"),
        ({k: v for k, v in good.items() if k != "half"}, "half is unexpected"),
        ({**good, "half": jnp.ones(3)}, "half is bfloat16"),
        ({**good, "weights": jnp.ones((3, 2))}, "weights is float32"),
    ):
        with Writer(tmp_path) as writer:
            with pytest.raises(BadInput, match=words):
                writer.restore({"a": shapes(change)})
        with pytest.raises(BadInput, match=words):
            read(tmp_path, ["a"], {"a": shapes(change)})
    with Writer(tmp_path) as writer, pytest.raises(BadInput, match="must have b"):
        writer.restore({"b": shapes(good)})
    assert steps(tmp_path) == [1]


def test_reading_changes_nothing_and_names_the_newest_good_step(tmp_path):
    saved(tmp_path, 1, 2)
    with pytest.raises(BadInput, match="no item 'b' .known: a."):
        read(tmp_path, ["b"])
    flip(tmp_path / "00000002" / "facts.json")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Damaged, match="newest good one is step 1") as error:
        read(tmp_path, ["a"])
    assert "\n" not in str(error.value)
    assert read(tmp_path, ["a"], step=1)[2] == {"best": 1}
    assert sorted(tmp_path.rglob("*")) == before
    flip(tmp_path / "00000001" / "facts.digest")
    with pytest.raises(Damaged, match="no good one is left"):
        read(tmp_path, ["a"])
    with pytest.raises(BadInput, match="must hold a checkpoint"):
        read(tmp_path / "none", ["a"])


# Orbax closes its event loop when a file is gone; what else it was reading complains.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_reader_beside_a_writer_always_finds_a_whole_step(tmp_path):
    saved(tmp_path, 1)
    stop, wrong = threading.Event(), []

    def look():
        while not stop.is_set():
            step, items, facts = read(tmp_path, ["a"])
            if not step == facts["best"] == items["a"]["scalar"]:
                wrong.append(step)

    reader = threading.Thread(target=look)
    reader.start()
    saved(tmp_path, *range(2, 8), keep=1)
    stop.set()
    reader.join()
    assert not wrong
