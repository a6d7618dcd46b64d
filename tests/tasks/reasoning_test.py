"""Every example over structure against an oracle that reads it as it stands."""

from functools import lru_cache

import jax
import numpy as np
import pytest

from attn_research import tasks
from attn_research.options import BadInput
from attn_research.tasks import SPLITS, coreference, pathfinder
from attn_research.tasks.parts import pool
from tests.tasks import oracles_reasoning as oracles
from tests.tasks.specs import SOURCE

ROWS = 2000


def drawn(spec, split="test", rows=ROWS):
    """A batch and the arrays that it was drawn from, as numpy."""
    task = tasks.make(spec)
    arrays = task.arrays()
    batch = maker(spec, rows)(SPLITS.index(split), arrays)
    return task, jax.tree.map(np.asarray, batch), arrays


@lru_cache
def maker(spec, rows):
    """A compiled function of a split and the arrays of a task."""
    task, key = tasks.make(spec), jax.random.key(4)
    return jax.jit(lambda split, arrays: task.batch(key, split, rows, arrays))


def assert_share(hits, wanted):
    """A measured share is the wanted one within four standard errors."""
    hits = np.asarray(hits)
    assert abs(hits.mean() - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / hits.size)


# --- listops ---


@pytest.fixture(scope="module")
def short_lists():
    return drawn(
        "listops(length=40,shortest=6,depth=4,arguments=5,examples=1500,held_out=300)"
    )


def sequences(arrays):
    starts, tokens = np.asarray(arrays["starts"]), np.asarray(arrays["tokens"])
    return [
        tokens[low:high].tolist() for low, high in zip(starts, starts[1:], strict=False)
    ]


def test_listops_are_what_a_parser_says(short_lists):
    _, _, arrays = short_lists
    found = [oracles.listops(tokens) for tokens in sequences(arrays)]
    values, depths, arguments = zip(*found, strict=True)
    assert list(values) == np.asarray(arrays["values"]).tolist()
    assert len(found) == 2100 and max(depths) == 4 and max(arguments) == 5
    sizes = [len(tokens) for tokens in sequences(arrays)]
    assert (min(sizes), max(sizes)) == (6, 40)


def test_no_listop_is_in_two_splits(short_lists):
    _, batch, arrays = short_lists
    texts = [tuple(tokens) for tokens in sequences(arrays)]
    assert len(set(texts)) == len(texts)
    value = dict(zip(texts[1800:], np.asarray(arrays["values"])[1800:], strict=True))
    for row in range(ROWS):
        size = int(batch.segments[row].sum())
        text = tuple(batch.inputs[row, :size].tolist())
        assert value[text] == batch.targets[row]  # of the test part of the pool
        assert not batch.inputs[row, size:].any()
    assert set(batch.gap) == {-1}


def test_published_listops_have_their_lengths_and_their_chance():
    task = tasks.make("listops(examples=5000,held_out=500)")
    arrays = task.arrays()
    sizes = np.diff(arrays["starts"])
    assert 500 <= sizes.min() < 520 and 1950 < sizes.max() <= 2000
    for at in range(0, 6000, 100):
        low, high = arrays["starts"][at : at + 2]
        value, depth, arguments = oracles.listops(arrays["tokens"][low:high].tolist())
        assert value == arrays["values"][at] and depth <= 10 and arguments <= 10
    rates = np.bincount(arrays["values"], minlength=10) / 6000
    assert rates.argmax() in (0, 9)
    assert_share(arrays["values"] == rates.argmax(), task.spec.chance)


def test_too_few_listops_are_refused():
    task = tasks.make("listops(length=4,shortest=4,depth=2,examples=400,held_out=1)")
    with pytest.raises(BadInput, match="need 402 sequences; .* at most about 400"):
        task.arrays()


# --- pathfinder ---

# Brightness, step and radius that connect dashes, and how many pictures.
SEEN = {32: (51, 1.5, 1, 700), 64: (77, 3.2, 2, 60), 128: (77, 3.9, 2, 30)}


@pytest.fixture(scope="module")
def pictures():
    made = {}
    for size, (_, _, _, count) in SEEN.items():
        spec = f"pathfinder(size={size},examples={count},held_out={count // 4})"
        made[size] = drawn(spec, "train", 4 * count)
    return made


@pytest.mark.parametrize("size", SEEN)
def test_a_flood_fill_finds_whether_the_dots_are_connected(pictures, size):
    _, _, arrays = pictures[size]
    bright, step, radius, _ = SEEN[size]
    for grey, label, places in zip(
        *(np.asarray(arrays[name]) for name in ("grey", "connected", "dots")),
        strict=True,
    ):
        assert oracles.connected(grey, bright, step, radius) == label
        off_22 = np.abs(np.array(oracles.dots(grey, radius))[:, None] - places).max(2)
        assert np.all(off_22.min(axis=0) <= 1) and np.all(off_22.min(axis=1) <= 1)


def test_a_batch_shows_mirror_images_and_the_distance_of_their_dots(pictures):
    _, batch, arrays = pictures[32]
    grey = np.rint(batch.inputs[..., 0] * 255).astype(np.uint8).reshape(-1, 32, 32)
    train = np.asarray(arrays["grey"])[:700]
    images = {
        turned.tobytes(): (row, which)
        for row, one in enumerate(train)
        for which, turned in enumerate(
            np.rot90(side, turns) for side in (one, one.T) for turns in range(4)
        )
    }
    rows, which = zip(*(images[one.tobytes()] for one in grey), strict=True)
    assert np.array_equal(np.asarray(arrays["connected"])[list(rows)], batch.targets)
    for turn in range(8):
        assert_share(np.array(which) == turn, 1 / 8)
    for one, gap in zip(grey[:300], batch.gap, strict=False):
        (y, x), (v, u) = oracles.dots(one, 1)
        assert abs(abs((y - v) * 32 + x - u) - gap) <= 2 * 33


def test_no_simple_statistic_tells_the_classes_apart(pictures):
    """Light, bright pixels, the dots' distance: equal means; a linear map: chance."""
    _, batch, arrays = pictures[32]
    grey, label = np.asarray(arrays["grey"]), np.asarray(arrays["connected"]) > 0
    assert_share(label, 1 / 2)
    dots = np.asarray(arrays["dots"]).astype(float)
    apart = np.hypot(*(dots[:, 0] - dots[:, 1]).T)
    for value in (grey.mean((1, 2)), (grey > 127).sum((1, 2)), apart, apart**2):
        yes, no = value[label], value[~label]
        error = np.sqrt(yes.var() / yes.size + no.var() / no.size)
        assert abs(yes.mean() - no.mean()) < 4 * error
    # The gap is of the drawn mirror images; the label tells nothing of it either.
    yes, no = batch.gap[batch.targets > 0], batch.gap[batch.targets == 0]
    assert abs(yes.mean() - no.mean()) < 4 * np.sqrt(yes.var() / 300 + no.var() / 300)
    features = grey.reshape(len(grey), -1) / 255.0
    x, y = features - features.mean(0), 2.0 * label - 1
    fit = slice(0, 700)
    for ridge in (1.0, 100.0):
        inner = x[fit] @ x[fit].T + ridge * np.eye(700)
        weight = x[fit].T @ np.linalg.solve(inner, y[fit])
        assert_share((x[700:] @ weight > 0) == label[700:], 1 / 2)


def test_no_picture_is_in_two_splits(pictures):
    _, _, arrays = pictures[32]
    assert len({grey.tobytes() for grey in np.asarray(arrays["grey"])}) == 1050
    edges = np.asarray(arrays["edges"])
    assert edges.tolist() == [0, 700, 875, 1050] == pool.edges(700, 175).tolist()


def test_contours_without_room_are_refused(monkeypatch):
    monkeypatch.setattr(pathfinder, "CHUNK", 4)
    monkeypatch.setattr(pathfinder, "FUTILE", 2)
    with pytest.raises(
        BadInput, match="dashes is 60; it must be fewer for two contours to fit 32"
    ):
        tasks.make("pathfinder(dashes=60,distractors=0,examples=1,held_out=1)").arrays()


# --- needle ---


@pytest.mark.parametrize(
    ("spec", "facts"),
    [
        ("needle(length=200,digits=5,filler=noise)", 1),
        (f"needle(length=320,distractors=3,depth=0.25,filler={SOURCE})", 4),
    ],
)
def test_a_needle_is_found_by_its_key(spec, facts):
    task, batch, _ = drawn(spec)
    digits = task.digits
    first = []
    for row in range(ROWS):
        text = batch.inputs[row].astype(np.uint8).tobytes()
        number, gaps, found = oracles.needle(text, digits)
        assert found == facts
        assert batch.targets[row, -digits:].tolist() == list(number)
        assert batch.gap[row, -digits:].tolist() == gaps
        first.append(gaps[0])
    assert np.all(batch.weights[:, -digits:] == 1)
    assert not batch.weights[:, :-digits].any()
    for digit in range(10):
        assert_share(batch.targets[:, -digits:] == ord("0") + digit, task.spec.chance)
    # Anywhere, or where the depth says: facts before it shift it.
    assert len(set(first)) > 20


def test_a_needle_stands_at_its_depth_between_words():
    spec = f"needle(length=1024,filler={SOURCE},depth="
    _, shallow, _ = drawn(f"{spec}0.0)", rows=64)
    _, deep, _ = drawn(f"{spec}1.0)", rows=64)
    assert set(shallow.gap[:, -1]) == {1024 - 7 - 29}
    assert deep.gap[:, -1].min() == 1024 - 7 - (1024 - 36 - 38 + 29)
    for row in deep.inputs.astype(np.uint8):
        text = row.tobytes()
        at = text.index(b"The magic number")
        assert text[at - 1 : at] in (b" ", b"\n")
        assert b"\0" not in text


def test_the_text_around_a_needle_is_of_its_split(tmp_path):
    (tmp_path / "f").write_bytes(b"a " * 9000 + b"b " * 500 + b"c " * 500)
    for split, letter in (("train", "a"), ("validation", "b"), ("test", "c")):
        _, batch, _ = drawn(f"needle(length=200,filler={tmp_path}/f)", split, rows=32)
        for row in batch.inputs.astype(np.uint8):
            words = row.tobytes().decode().split()
            assert {word for word in words if len(word) == 1} == {letter}


# --- variable tracking and coreference ---


@pytest.mark.parametrize(
    ("chains", "hops", "digits"), [(4, 2, 4), (1, 5, 3), (3, 0, 2)]
)
def test_a_variable_is_tracked_through_its_chain(chains, hops, digits):
    length = 68 if digits == 2 else 205
    _, batch, _ = drawn(
        f"variable_tracking(length={length},chains={chains},hops={hops},digits={digits})"
    )
    for row in range(ROWS):
        text = batch.inputs[row].astype(np.uint8).tobytes()
        number, gaps, found = oracles.variables(text, digits)
        assert batch.targets[row, -digits:].tolist() == list(number)
        assert batch.gap[row, -digits:].tolist() == gaps
        assert found[0] == hops and found.count(hops) >= chains
        assert sorted(set(found)) == sorted({0, hops})
        if hops:
            assert found[1:].count(hops) == chains
    assert np.all(batch.weights[:, -digits:] == 1)
    assert not batch.weights[:, :-digits].any()
    for digit in range(10):
        assert_share(batch.targets[:, -digits:] == ord("0") + digit, 1 / 10)
    assert len(set(batch.gap[:, -1])) > 3


@pytest.mark.parametrize("cue", ["gender", "number", "property", "mixed"])
def test_a_pronoun_means_one_person(cue):
    task, batch, _ = drawn(f"coreference(length=37,cue={cue})")
    cues, firsts, names = [], [], []
    for row in range(ROWS):
        words = [coreference.WORDS[token] for token in batch.inputs[row]]
        name, gap, needed = oracles.coreference(
            words, coreference.WOMEN, coreference.MEN, coreference.FAMILIES
        )
        assert coreference.WORDS[batch.targets[row, -1]] == name
        assert batch.gap[row, -1] == gap
        cues.append(needed)
        names.append(name)
        firsts.append(next(w for w in words if w in coreference.PEOPLE) == name)
    if cue == "mixed":
        for kind in coreference.CUES:
            assert_share(np.array(cues) == kind, 1 / 3)
    else:
        assert set(cues) == {cue}
    # Neither the first person nor the last is meant more often.
    assert_share(firsts, task.spec.chance)
    for kind in (coreference.WOMEN, coreference.MEN, coreference.FAMILIES):
        named = [name for name in names if name in kind]
        for name in kind if named else ():
            assert_share(np.array(named) == name, 1 / coreference.MANY)


def test_a_pronoun_stands_as_far_from_its_name_as_asked():
    _, batch, _ = drawn("coreference(length=52,cue=gender,between=3)", rows=64)
    assert set(batch.gap[:, -1]) == {4 * 5 + 4}


def test_words_are_distinct_tokens():
    assert len(set(coreference.WORDS)) == len(coreference.WORDS)
