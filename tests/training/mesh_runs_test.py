"""A mesh is refused in a sentence, or a run on it is one like any other."""

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as Along

import attn_research as ar
from attn_research import checkpoint, loop
from attn_research.config import Config, Model, Population, Train, edit
from attn_research.host import exits, layout, slots
from attn_research.options import BadInput
from attn_research.training import ahead, mesh, placed, population, program, targets

SMALL = Config(
    "recall(length=16,pairs=2,vocabulary=16)",
    Model(width=8, layers=1, pattern="linear"),
    Train(
        steps=12,
        batch=4,
        eval_every=6,
        eval_batches=1,
        test_batches=2,
        checkpoint_every=6,
    ),
)


def test_the_largest_axis_that_divides_is_divided():
    onto = mesh.abstract("data=2,fsdp=4")
    whole = Along()
    for shape, wanted in (
        ((8, 16), Along(None, "fsdp")),
        ((16, 8), Along("fsdp")),
        ((8, 8), Along("fsdp")),
        ((18, 8), Along(None, "fsdp")),
        ((2, 3, 12), Along(None, None, "fsdp")),
        ((6, 7), whole),
        ((16,), whole),
        ((), whole),
    ):
        assert mesh.spec(shape, onto) == wanted, shape
    assert mesh.spec((8, 16), mesh.abstract("data=8")) == whole


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model=2", "has the axis 'model'; its axes must be data or fsdp"),
        ("fdsp=2", "did you mean 'fsdp'"),
        ("", "has the axis ''"),
        ("data=2,data=2", "data must be there once"),
        ("data=0", "the size of data must be a whole number of devices, at least 1"),
        ("fsdp", "the size of fsdp must be a whole number"),
        ("fsdp=1.5", "the size of fsdp must be a whole number"),
        ("data=3", "must be a multiple of 3, an equal number of rows for each"),
        ("data=2,fsdp=4", "a multiple of 8, an equal number of rows for each of 8"),
    ],
)
def test_a_mesh_that_cannot_be_is_one_sentence(text, said):
    with pytest.raises(BadInput, match=said):
        program.resolve(edit(SMALL, {"train.mesh": text}))


def test_parts_are_of_the_rows_of_a_device():
    asked = {"train.mesh": "fsdp=2", "train.accumulate": 4}
    with pytest.raises(BadInput, match="of 8, .* each of 4 parts on each of 2"):
        program.resolve(edit(SMALL, asked))


def test_a_mesh_has_one_spelling():
    def resolved(text):
        return program.resolve(edit(SMALL, {"train.mesh": text})).train.mesh

    assert resolved("fsdp=2, data=2") == resolved("data=2,fsdp=2") == "data=2,fsdp=2"
    assert resolved("data=1,fsdp=4") == "fsdp=4" and resolved("fsdp=1") is None


def test_devices_that_a_mesh_does_not_fill_are_refused(tmp_path):
    two = jax.devices()[:2]
    with pytest.raises(BadInput, match="4 devices, and there are 2; their number must"):
        mesh.over(two, "data=2,fsdp=2")
    with pytest.raises(BadInput, match="4 of 8 devices, and the population has 1"):
        mesh.over(two * 4, "fsdp=4")
    assert mesh.over(two * 4, "fsdp=4", 2).shape == {"P": 2, "data": 1, "fsdp": 4}
    with pytest.raises(BadInput, match="4 devices, and there are 2"):
        loop.run(edit(SMALL, {"train.mesh": "fsdp=4"}), Population(), tmp_path / "run")
    assert not (tmp_path / "run" / layout.CONFIG).exists()


def test_the_memory_of_a_mesh_is_known_without_its_devices():
    """A copy of the state on each device, but a shard of each matrix."""
    config = program.resolve(edit(SMALL, {"train.batch": 64}))
    copied = edit(config, {"train.mesh": "data=64"})
    divided = edit(config, {"train.mesh": "data=8,fsdp=8"})
    embedded = 64 * 16 * 8 * 4  # rows, tokens, width, bytes of a number
    one, many, parted = (
        placed.at_least(each, 2) - embedded for each in (config, copied, divided)
    )
    assert many == 64 * one > 0 and parted < 0.3 * many


def test_a_program_for_a_target_is_on_its_mesh(monkeypatch):
    target = targets.Target("cpu", "")
    monkeypatch.setitem(targets.TARGETS, "here", target)
    monkeypatch.setattr(targets, "mesh", lambda name: (target, population.mesh()))

    def compiled(text):
        config = program.resolve(edit(SMALL, {"train.mesh": text}))
        trace, devices = ahead.traced(config, 1, "here")
        return ahead.compiled(trace, devices, "here")

    whole, copied, divided = map(compiled, (None, "data=2", "fsdp=2"))
    assert whole.devices == copied.devices == divided.devices == 2
    assert whole.argument_bytes == copied.argument_bytes
    assert divided.argument_bytes < 0.6 * copied.argument_bytes
    with pytest.raises(BadInput, match="8 devices, and there are 2"):
        ahead.traced(edit(SMALL, {"train.mesh": "fsdp=8"}), 1, "here")


def test_a_process_gets_the_devices_of_its_mesh():
    slot = slots.Slot((0, 1, 2, 3), None)

    def devices(members, mesh, **more):
        flags = slots.environment(slot, members, {}, mesh=mesh, **more)["XLA_FLAGS"]
        return int(flags.rpartition("=")[2])

    assert devices(1, 8) == 8 and devices(3, 2) == 4 and devices(1, 2) == 2
    assert devices(3, 2, one_device=True) == 2


class Stop(Exception):
    pass


def test_a_run_on_a_mesh_is_stopped_and_goes_on_on_another(tmp_path, monkeypatch):
    config, out = edit(SMALL, {"train.mesh": "fsdp=2"}), tmp_path / "run"
    evaluated = loop._evaluated

    def once(compiled, arrays, members_P, account, *others):
        if account.step > 6:
            raise Stop
        return evaluated(compiled, arrays, members_P, account, *others)

    monkeypatch.setattr(loop, "_evaluated", once)
    with pytest.raises(Stop):
        loop.run(config, Population(), out)
    monkeypatch.setattr(loop, "_evaluated", evaluated)
    assert checkpoint.steps(out / layout.CHECKPOINTS) == [6]
    other = edit(config, {"train.mesh": "data=2"})
    with pytest.raises(BadInput, match="mesh was 'fsdp=2' and is 'data=2'"):
        loop.run(other, Population(), out)
    code = loop.run(other, Population(), out, allow_inexact_resume=True)
    assert code == exits.DONE
    found = layout.read_result(out)
    assert found is not None and found["environment"]["mesh"] == "data=2"
    assert layout.read_config(out).config.train.mesh == "fsdp=2"
    alone = tmp_path / "alone"
    assert loop.run(SMALL, Population(), alone) == exits.DONE
    restored, wanted = ar.load(out), ar.load(alone)
    for one, two in zip(
        jax.tree.leaves(restored.params), jax.tree.leaves(wanted.params), strict=True
    ):
        assert len(one.devices()) == 1
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def test_a_resumed_run_on_a_mesh_ends_with_the_same_bits(tmp_path):
    config = edit(SMALL, {"train.mesh": "fsdp=2"})
    short = edit(config, {"train.steps": 12})
    assert loop.run(short, Population(), tmp_path / "whole") == exits.DONE
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert loop.run(config, Population(), cut) == exits.DONE
    newest = max((cut / layout.CHECKPOINTS).glob("0*"))
    for file in sorted(newest.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    newest.rmdir()
    (cut / layout.RESULT).unlink()
    assert loop.run(config, Population(), cut) == exits.DONE
    first, second = (
        checkpoint.read(out / layout.CHECKPOINTS, ["params", "optimizer"])[1]
        for out in (whole, cut)
    )
    same = jax.tree.map(np.array_equal, first, second)
    assert all(jax.tree.leaves(same))


def test_rows_that_the_host_sends_are_divided_too(tmp_path):
    words = np.random.default_rng(0).choice(["ant", "bee", "cat", "\n"], 4000)
    folder = tmp_path / "text"
    folder.mkdir()
    for name in range(20):
        part = " ".join(words[name * 200 : (name + 1) * 200])
        (folder / f"{name}.txt").write_text(part)
    short = {"train.steps": 6, "train.mesh": "fsdp=2", "model.pattern": "conv"}
    text = edit(SMALL, {"task": f"text(path={folder},length=16)", **short})
    kept = []
    for where in ("device", "host"):
        out = tmp_path / where
        assert loop.run(edit(text, {"train.data": where}), Population(), out) == 0
        kept.append(checkpoint.read(out / layout.CHECKPOINTS, ["params"])[1])
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, *kept)))
