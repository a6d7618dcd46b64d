"""Checkpoints: what is saved comes back, bit for bit, or in one sentence not at all."""

import errno
import os
import subprocess
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from attn_research import checkpoint, hypers
from attn_research.checkpoint import Writer, load, read, steps
from attn_research.checkpoint import step as one
from attn_research.config import Config, Model, Population
from attn_research.host import layout
from attn_research.host.durable import Busy, DiskError, fsync
from attn_research.modules.models import Sizes, build
from attn_research.options import BadInput
from attn_research.trees import paths
from tests.checkpoints import population_of, same, saved, shapes, tree


def test_what_is_saved_comes_back(tmp_path):
    items = {"params": tree(1), "progress": {"key": jax.random.key(3), "at": 7}}
    with Writer(tmp_path) as writer:
        assert writer.restore(shapes(items)) is None
        writer.save(5, items, {"best": np.int64(2), "loss": float("nan")})
    with Writer(tmp_path) as writer:
        found = writer.restore(shapes(items))
    assert found is not None
    step, restored, facts = found
    assert (step, facts["best"]) == (5, 2) and np.isnan(facts["loss"])
    wanted = jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, int) else x, items)
    assert same(restored, wanted)


def test_a_saved_array_may_be_donated_at_once(tmp_path):
    """The copy is the writer's own: a step that reuses the buffer changes nothing."""
    bump = jax.jit(lambda x: x + 1, donate_argnums=0)
    x = jnp.zeros((256, 256))
    with Writer(tmp_path) as writer:
        writer.save(1, {"a": x}, {})
        for _ in range(5):
            x = bump(x)
        x.block_until_ready()
    assert not read(tmp_path, ["a"])[1]["a"]["value"].any()


def test_twelve_layers_come_back_in_their_order(tmp_path):
    """Read back without a target, Orbax gives the keys 0, 1, 10, 11, 2, ..."""
    sizes = Sizes("tokens", features=8, outputs=8, length=4, causal=True)
    config = Config(model=Model(pattern="conv", layers=12, width=4, norm="rms"))
    members = Population(seed=(0, 1))
    model = build(config.model, sizes)
    params_P = population_of(model, 2)
    with Writer(tmp_path / layout.CHECKPOINTS) as writer:
        writer.save(3, {"params": params_P}, {"best": 1})
    layout.write_config(tmp_path, config, members, sizes._asdict())
    restored = load(tmp_path)
    best = jax.tree.map(lambda leaf: leaf[1], params_P)
    assert same(restored.params, best) and restored.step == 3
    assert restored.hypers == {"seed": 1, "lr": 1e-3, "weight_decay": 0.1}
    shown = repr(restored)
    assert "conv on recall, seed=1, lr=0.001" in shown and "step 3" in shown
    assert len(shown) < 200, "the arrays are shown"
    tokens_BT = jnp.zeros((1, 4), jnp.int32)
    np.testing.assert_array_equal(
        restored.model.apply(restored.params, tokens_BT),
        model.apply(best, tokens_BT),
    )
    # Traced tokens index the tables of a user's program that closes over them.
    apply = jax.jit(lambda tokens: restored.model.apply(restored.params, tokens))
    assert apply(tokens_BT).shape == (1, 4, 8)
    assert not same(load(tmp_path, member=0).params, best)
    for member in (-1, 2):
        with pytest.raises(BadInput, match="it must be 'best' or 0 to 1"):
            load(tmp_path, member=member)
    with pytest.raises(BadInput, match="no step 7"):
        load(tmp_path, step=7)


def test_members_are_numbered_as_the_population_is(tmp_path):
    """`load` must name the numbers that a member was trained with."""
    members = Population(seed=(3, 4), lr=(1e-3, 3e-3), weight_decay=(0.0, 0.1))
    grid = hypers.grid(members)
    sizes = Sizes("tokens", features=8, outputs=8, length=4, causal=True)
    config = Config(model=Model(pattern="conv", layers=1, width=4, norm="rms"))
    params_P = population_of(build(config.model, sizes), 8)
    with Writer(tmp_path / layout.CHECKPOINTS) as writer:
        writer.save(3, {"params": params_P}, {})
    layout.write_config(tmp_path, config, members, sizes._asdict())
    for index in (0, 3, 7):
        found = load(tmp_path, index).hypers
        assert found["seed"] == grid.seed[index]
        assert np.float32(found["lr"]) == grid.lr[index]
        assert found["lr"] in members.lr and found["weight_decay"] in (0.0, 0.1)


def test_a_checkpoint_of_two_devices_loads_on_one(tmp_path):
    mesh = Mesh(np.array(jax.devices()[:2]), ("P",))
    split = NamedSharding(mesh, PartitionSpec("P"))
    x = jax.device_put(jnp.arange(8.0), split)
    with Writer(tmp_path) as writer:
        writer.save(1, {"a": {"x": x}}, {})
        placed = writer.restore(
            {"a": {"x": jax.ShapeDtypeStruct((8,), jnp.float32, sharding=split)}}
        )
    assert placed is not None and placed[1]["a"]["x"].sharding == split
    code = (
        "import jax, sys; from attn_research.checkpoint import read; "
        "assert len(jax.devices()) == 1; "
        "print(read(sys.argv[1], ['a'])[1]['a']['x'].sum())"
    )
    environment = {
        **os.environ,
        "XLA_FLAGS": "",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True, text=True, env=environment, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == "28.0", done.stderr


def test_the_newest_are_kept_and_the_rest_deleted(tmp_path):
    saved(tmp_path, 1, 2, 3, 4, keep=2)
    assert steps(tmp_path) == [3, 4]
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {"00000003", "00000004", ".lock"}
    saved(tmp_path / "all", 1, 2, 3, 4, keep=0)
    assert steps(tmp_path / "all") == [1, 2, 3, 4]
    with pytest.raises(BadInput, match="keep is -1; it must be at least 0"):
        Writer(tmp_path, keep=-1)


def test_an_acknowledged_step_is_not_written_again(tmp_path):
    saved(tmp_path, 3)
    with Writer(tmp_path) as writer:
        writer.save(3, {"a": tree(9)}, {})
        with pytest.raises(ValueError, match="must be at least 3"):
            writer.save(2, {"a": tree(2)}, {})
    assert same(read(tmp_path, ["a"], {"a": shapes(tree())})[1]["a"]["scalar"],
                jnp.int32(3))  # fmt: skip


def test_a_step_is_not_listed_before_it_is_whole(tmp_path, monkeypatch):
    """Acknowledged only after the tree, the rename and its directory are synced."""
    seen = []
    write = one.write

    def watched(directory, *rest):
        write(directory, *rest)
        seen.append(steps(tmp_path))

    monkeypatch.setattr(one, "write", watched)
    monkeypatch.setattr(
        checkpoint.writer, "fsync", lambda path: (seen.append(steps(path)), fsync(path))
    )
    saved(tmp_path, 1)
    assert seen == [[], [1]]


def test_a_full_disk_is_told_by_the_next_call_and_costs_no_older_step(
    tmp_path, monkeypatch
):
    saved(tmp_path, 1)
    with Writer(tmp_path) as writer:
        with monkeypatch.context() as patch:

            def full(*_):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            patch.setattr(one, "fsync_tree", full)
            writer.save(2, {"a": tree(2)}, {})
            with pytest.raises(DiskError, match="No space left"):
                writer.wait()
        assert steps(tmp_path) == [1]
        writer.save(2, {"a": tree(2)}, {})
    assert steps(tmp_path) == [1, 2]


def test_an_error_of_a_last_save_is_told_on_leaving(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DiskError):
        with Writer(tmp_path) as writer:
            monkeypatch.setattr(one, "fsync_tree", full)
            writer.save(1, {"a": tree()}, {})


def test_a_second_writer_is_refused(tmp_path):
    with Writer(tmp_path):
        with pytest.raises(Busy):
            with Writer(tmp_path):
                pass


def test_what_cannot_be_named_is_refused():
    for bad in ({"a/b": jnp.ones(1)}, {"a.b": jnp.ones(1)}, {"": jnp.ones(1)}):
        with pytest.raises(ValueError, match="must be made of letters"):
            paths(bad)
    with pytest.raises(ValueError, match="Two leaves"):
        paths(Twice(jnp.ones(1), jnp.ones(1)))


@jax.tree_util.register_pytree_with_keys_class
class Twice(NamedTuple("Twice", [("a", jax.Array), ("b", jax.Array)])):
    """A node whose two children go by one name."""

    def tree_flatten_with_keys(self):
        key = jax.tree_util.DictKey("x")
        return ((key, self.a), (key, self.b)), None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)


def test_optimizer_state_of_optax_comes_back(tmp_path):
    params = {"w": jnp.ones((2, 3)), "b": jnp.zeros(3)}
    transform = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))
    state = transform.init(params)
    with Writer(tmp_path) as writer:
        writer.save(1, {"optimizer": state}, {})
        found = writer.restore({"optimizer": shapes(state)})
    assert found is not None and same(found[1]["optimizer"], state)


def test_importing_the_package_stays_light():
    code = "import sys, attn_research, attn_research.checkpoint as c; "
    code += "print([m for m in ('orbax', 'tensorstore') if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_a_relative_directory_is_saved_to_and_read_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with checkpoint.Writer("here") as writer:
        writer.save(1, {"params": {"a": np.arange(3.0)}}, {})
    np.testing.assert_array_equal(
        checkpoint.read("here", ["params"])[1]["params"]["a"], np.arange(3.0)
    )


def test_what_a_failed_save_writes_late_is_not_in_the_way(tmp_path):
    with Writer(tmp_path) as writer:
        late = tmp_path / ".00000003.0.tmp"
        late.mkdir()
        (late / "item").write_text("late")
        writer.save(3, {"params": {"w": np.ones(2)}}, {})
        assert writer.wait() == 3
    with Writer(tmp_path):
        assert not late.exists(), "the next writer sweeps it"
