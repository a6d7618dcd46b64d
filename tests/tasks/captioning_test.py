"""Moving images and the sentence about them: read back frame by frame."""

import numpy as np
import pytest

from attn_research import tasks
from attn_research.options import BadInput
from attn_research.tasks.data import packed
from attn_research.tasks.data.catalogue import DATA_SETS
from tests.tasks.draw import assert_even, drawn

pytestmark = pytest.mark.usefixtures("data_sets")

WAYS = {(0, -1): "left", (0, 1): "right", (-1, 0): "up", (1, 0): "down"}


def inked(frame):
    """The corner of what is drawn on a frame, and the part of the frame around it."""
    lines, columns = (np.flatnonzero(frame.any(axis=axis)) for axis in ((1, 2), (0, 2)))
    corner = np.array([lines[0], columns[0]])
    return corner, frame[lines[0] : lines[-1] + 1, columns[0] : columns[-1] + 1]


def told(frames, shares, known):
    """The sentence about a video, the images in it and their speeds, read off it."""
    clauses, numbers, speeds = [], [], []
    for frame, share in zip(np.cumsum([0, *shares]), shares, strict=False):
        shown = [inked(one) for one in frames[frame : frame + share]]
        (image,) = {known[part.tobytes()] for _, part in shown}
        steps = np.diff([corner for corner, _ in shown], axis=0)
        assert np.all(steps == steps[0]), "the speed is not constant"
        clauses.append(f"{image[1]} moves {WAYS[tuple(np.sign(steps[0]).tolist())]}")
        numbers.append(image[0])
        speeds.append(np.abs(steps[0]).sum())
    return " then ".join(clauses), numbers, speeds


def told_of(split, data="mnist_t10k"):
    """The number and the name of each image of a split, by its pixels with ink."""
    columns, names = packed.load(data)[split], DATA_SETS[data].features["label"].names
    images = np.asarray(columns["image"].values)
    images = images.reshape(*images.shape[:3], -1)
    return {
        inked(image)[1].tobytes(): (number, names[columns["label"].values[number]])
        for number, image in enumerate(images)
    }


@pytest.mark.parametrize(
    ("spec", "shares", "speed"),
    [
        ("captioning", [6, 6], 2),
        ("captioning(moves=1,frames=3,side=34)", [3], 1),
        ("captioning(moves=3,frames=8,side=40)", [3, 3, 2], 3),
        ("captioning(data=clothing32,frames=4,side=40)", [2, 2], 4),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_sentence_says_what_the_video_shows(spec, shares, speed, split):
    task, batch = drawn(spec, rows=128, split=split)
    known = told_of(split, task.data)
    video = np.rint(batch.source * 255).astype(np.uint8)
    np.testing.assert_allclose(video / 255.0, batch.source, atol=1e-7)
    video = video.reshape(128, task.frames, task.side, task.side, -1)
    ways, numbers = [], []
    for row in range(128):
        wanted, seen, speeds = told(video[row], shares, known)
        text = bytes(batch.targets[row].astype(np.uint8).tolist())
        assert text == wanted.encode().ljust(task.spec.length, b"\0")
        assert batch.weights[row].sum() == len(wanted.encode()) + 1
        assert speeds == [speed] * len(shares)
        numbers += seen
        ways += [clause.rsplit(" ", 1)[1] for clause in wanted.split(" then ")]
    np.testing.assert_array_equal(batch.inputs[:, 0], 0)
    np.testing.assert_array_equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    np.testing.assert_array_equal(batch.segments, batch.weights)
    assert_even([list(WAYS.values()).index(way) for way in ways], 4)
    assert_even(numbers, len(known), within=5)  # few of each: long tails


def test_paths_begin_wherever_they_fit():
    _, batch = drawn("captioning", rows=256)
    video = batch.source.reshape(256, 12, 48, 48, 1) > 0
    corners = np.array([[inked(one)[0] for one in row] for row in video])
    assert set(corners.ravel().tolist()) == set(range(48 - 28 + 1))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("captioning(side=40,frames=20)", "moves of 10 frames"),
        ("captioning(data=movie_reviews)", "must have images of one size"),
        ("captioning(label=kind)", "must have classes in its feature kind"),
    ],
)
def test_a_video_that_does_not_fit_is_one_sentence(spec, words):
    with pytest.raises(BadInput) as caught:
        assert tasks.make(spec).spec
    assert words in str(caught.value) and "\n" not in str(caught.value)
