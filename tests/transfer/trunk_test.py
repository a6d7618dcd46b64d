"""Parameters of one model in the place of another's: what is taken, what learns."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from attn_research import hypers
from attn_research.config import Model, Start, Train
from attn_research.modules.models import Sizes, build
from attn_research.transfer import trunk
from attn_research.trees import paths
from tests.checkpoints import same
from tests.parameters import drawn

# --- parameters of one model in the place of another's -------------------------------

SIZES = Sizes("tokens", features=5, outputs=5, length=6, causal=True)
SMALL = Model(pattern="dense(positions=learned)", width=8, positions="learned")
ONE = build(SMALL, SIZES)
POOLED = SIZES._replace(outputs=3, causal=False, per_sequence=True)


def moved(given, model):
    """The parameters of a model as drawn from seed 1, with a trunk put in."""
    assert trunk.misfit(paths(given), model, frozen=False) is None
    return trunk.started(drawn(model, 1), trunk.fitted(paths(given), model))


def test_positions_are_stretched_linearly_between_exact_ends():
    table_TD = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    for length in (6, 9, 64):
        long_TD = trunk.stretched(table_TD, length)
        assert long_TD.shape == (length, 3) and long_TD.dtype == np.float32
        np.testing.assert_array_equal(long_TD[[0, -1]], table_TD[[0, -1]])
        for column, want in zip(long_TD.T, table_TD.T, strict=True):
            place = np.linspace(0, 4, length)
            np.testing.assert_allclose(column, np.interp(place, range(5), want), 1e-5)
    # Twice as dense: every other position is one that there was.
    np.testing.assert_array_equal(trunk.stretched(table_TD, 9)[::2], table_TD)
    np.testing.assert_array_equal(trunk.stretched(table_TD, 3), table_TD[:3])
    one_1D = table_TD[:1]
    np.testing.assert_array_equal(trunk.stretched(one_1D, 2), table_TD[[0, 0]])
    stacked_NTD = np.stack([table_TD, -table_TD])
    np.testing.assert_array_equal(
        trunk.stretched(stacked_NTD, 7)[1], -trunk.stretched(table_TD, 7)
    )


def test_a_longer_encoder_starts_from_a_language_model():
    """In the front end and in every mixer; the head is the encoder's own."""
    longer = build(SMALL, POOLED._replace(length=11))
    given, params = drawn(ONE), drawn(longer, 1)
    found = moved(given, longer)
    assert same(found["head"], params["head"])
    want = paths(given["trunk"])
    for path, leaf in paths(found["trunk"]).items():
        if path.endswith(("place", "table_ND")):
            want[path] = trunk.stretched(np.asarray(want[path]), 11)
        np.testing.assert_array_equal(leaf, want[path])
    longer.bind(found)


def test_a_larger_vocabulary_keeps_its_tokens_and_draws_the_rest():
    larger = build(SMALL, SIZES._replace(features=7, outputs=7))
    given, params = drawn(ONE), drawn(larger, 1)
    table = moved(given, larger)["trunk"]["frontend"]["table"]
    np.testing.assert_array_equal(table[:5], given["trunk"]["frontend"]["table"])
    np.testing.assert_array_equal(table[5:], params["trunk"]["frontend"]["table"][5:])


DROPPED, DRAWN = ", the rest dropped", ", the other {} of this model initialised"
# Tokens there and here, how many stand for the same, and what is told of the others.
VOCABULARIES = {
    "a mask less": (257, 256, None, DROPPED),
    "a mask more": (256, 257, None, DRAWN.format(1)),
    "bytes": (256, 256, None, None),
    "to subwords": (256, 300, 256, DRAWN.format(44)),
    "of subwords": (300, 256, 256, DROPPED),
    "other subwords": (300, 300, 256, DROPPED + DRAWN.format(44)),
    "the same subwords": (300, 300, None, None),
}


@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.parametrize("pooled", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_bytes_are_taken_over_whatever_stands_above_them(name, pooled):
    """Into an encoder with a class and into one with a token at every position."""
    there, here, meant, told = VOCABULARIES[name]
    notes = [f"the first 256 of its {there} tokens are copied{told}."] * bool(told)
    kind = POOLED if pooled else SIZES._replace(causal=False)
    one = build(SMALL, SIZES._replace(features=there, outputs=there))
    other = build(SMALL, kind._replace(features=here, outputs=3 if pooled else here))
    given, params = drawn(one), drawn(other, 1)
    found = paths(given)
    assert trunk.misfit(found, other, frozen=False, meant=meant) is None
    assert trunk.changes(found, other, meant) == notes
    made = trunk.started(params, trunk.fitted(found, other, meant))
    table, kept = made["trunk"]["frontend"]["table"], min(there, here, meant or there)
    np.testing.assert_array_equal(table[:kept], found["trunk/frontend/table"][:kept])
    np.testing.assert_array_equal(
        table[kept:], params["trunk"]["frontend"]["table"][kept:]
    )
    told = trunk.misfit(found, other, frozen=True, meant=meant)
    assert (told is None) == (kept == here)
    other.bind(made)


@pytest.mark.parametrize(
    ("mixer", "scan"),
    [
        ("gru", False),
        ("gru", True),
        *(
            pytest.param(mixer, scan, marks=pytest.mark.slow)
            for mixer in ("gated_delta", "mamba")
            for scan in (False, True)
        ),
    ],
)
def test_a_direction_is_drawn_or_dropped(mixer, scan):
    """A recurrent language model as an encoder, and the encoder as one again."""
    model = Model(mixer, layers=2, width=8, scan=scan)
    one, both = build(model, SIZES), build(model, POOLED)
    given, params = drawn(one), drawn(both, 1)
    found = moved(given, both)
    for path, leaf in paths(found).items():
        new = trunk.of_backward(path) or not trunk.of_trunk(path)
        want = paths(params if new else given)[path]
        np.testing.assert_array_equal(leaf, want, err_msg=path)
    back = moved(found, one)
    assert same(back["trunk"], given["trunk"])
    assert trunk.changes(paths(given), both) == [
        "it reads in one direction; the backward one is initialised."
    ]
    assert trunk.changes(paths(found), one) == [
        "it reads in both directions; the backward one is dropped."
    ]
    assert trunk.misfit(paths(found), one, frozen=True) is None
    told = trunk.misfit(paths(given), both, frozen=True)
    assert told and "here in both, and a frozen trunk cannot learn the other" in told


def test_two_trunks_are_two():
    """A model of two sequences has an encoder and a decoder; both are taken."""
    both = SIZES._replace(source_features=5, source_length=6)
    one, other = build(SMALL, both), build(SMALL, both._replace(outputs=4))
    given = drawn(one)
    found = moved(given, other)
    for part in ("encoder", "decoder"):
        assert same(found[part], given[part])
    told = trunk.misfit(paths(given), ONE, frozen=False)
    assert told and "it has decoder/" in told


GRU = Model(pattern="gru", layers=1, width=8)
MISFITS = {
    "wider": (
        (SMALL, SIZES),
        (Model(pattern=SMALL.pattern, width=12, positions="learned"), SIZES),
        "place is float32[6, 8] there and float32[6, 12] in this model",
    ),
    "deeper": (
        (SMALL, SIZES),
        (Model(pattern=SMALL.pattern, layers=3, width=8, positions="learned"), SIZES),
        "it has no trunk/groups/0/blocks/2/",
    ),
    "shallower": (
        (SMALL, SIZES),
        (Model(pattern=SMALL.pattern, layers=1, width=8, positions="learned"), SIZES),
        "it has trunk/groups/0/blocks/1/",
    ),
    "fewer tokens": (
        (SMALL, SIZES),
        (SMALL, SIZES._replace(features=4)),
        "float32[4, 8] in this model; its tokens must be at least",
    ),
    "values": (
        (GRU, SIZES),
        (GRU, SIZES._replace(inputs="values")),
        "it has no trunk/frontend/project/",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_named(name):
    have, want, words = MISFITS[name]
    told = trunk.misfit(paths(trunk.shapes(build(*have))), build(*want), frozen=False)
    assert told and words in told and "\n" not in told


def test_new_tokens_have_to_learn():
    larger = build(SMALL, SIZES._replace(features=7))
    found = paths(trunk.shapes(ONE))
    told = trunk.misfit(found, larger, frozen=True)
    assert told and "a frozen table cannot learn new tokens" in told


# --- what learns, and how fast -------------------------------------------------------


def updates(model: Model, start: Start):
    """One step of the optimizer with every gradient one, by path."""
    built = build(model, SIZES)
    params = jax.tree.map(
        lambda leaf: np.ones(leaf.shape, np.float32), trunk.shapes(built)
    )
    settings = Train(schedule="constant", warmup=0.0, clip=0.0)
    numbers = hypers.Hypers(seed=0, lr=0.5, weight_decay=0.25)
    transform = hypers.optimizer(numbers, settings, trunk.shared(built, start))

    @jax.jit
    def step(params):
        return transform.update(params, transform.init(params), params)[0]

    with jax.numpy_dtype_promotion("standard"):
        return paths(jax.device_get(step(params)))


@pytest.mark.parametrize("scan", [False, True])
def test_a_layer_learns_at_a_share_of_the_one_above(scan):
    model = Model(
        pattern="conv,conv(width=3)", stem="conv", layers=4, width=4, scan=scan,
        positions="learned", embed_norm=True, tied=False,
    )  # fmt: skip
    whole, found = updates(model, Start()), updates(model, Start(rate=0.5))
    for path, leaf in found.items():
        share = np.asarray(share_by_hand(path, scan))
        share = share.reshape(share.shape + (1,) * (leaf.ndim - share.ndim))
        np.testing.assert_allclose(leaf, whole[path] * share, 1e-6, err_msg=path)


def share_by_hand(path: str, scan: bool):
    """Of a stem and four layers, each at half the rate of the one above it."""
    part, *rest = path.removeprefix("trunk/").split("/")
    if part in ("frontend", "embed_norm"):
        return 1 / 32
    if part != "groups":
        return 1.0  # the head, and the last norm
    if not scan:
        return 0.5 ** (4 - int(rest[2]))
    if rest[0] == "0":
        return 1 / 16
    return {"0": [1 / 8, 1 / 2], "1": [1 / 4, 1.0]}[rest[3]]


def test_what_is_frozen_is_neither_moved_nor_decayed_nor_remembered():
    found = updates(Model(width=4, tied=False), Start(trunk="frozen"))
    moved = {path for path, leaf in found.items() if np.any(leaf)}
    assert moved == {"head/matrix/kernel", "head/matrix/bias"}
    assert all(np.signbit(leaf).all() for p, leaf in found.items() if p not in moved)


def test_clipping_sees_what_learns_alone():
    model = build(Model(width=4, tied=False), SIZES)
    traits = trunk.shared(model, Start(trunk="frozen"))
    params = drawn(model)

    def loss(params):
        held = hypers.learning(params, traits)
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(held))

    grads = jax.device_get(jax.jit(jax.grad(loss))(params))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(grads["trunk"]))
    norm = jax.jit(optax.tree.norm)
    np.testing.assert_allclose(norm(grads), norm(params["head"]) * 2, rtol=1e-6)
