"""Tasks of images, sound and series against the examples, read one by one."""

import itertools
import re

import jax
import numpy as np
import pytest

from attn_research import tasks
from attn_research.tasks import SPLITS
from attn_research.tasks.contract import Draws
from attn_research.tasks.data import packed
from tests.tasks.mocks import COUNTS, SERIES
from tests.tasks.rows import drawn, padded, whole

pytestmark = pytest.mark.usefixtures("data_sets")


@pytest.mark.parametrize("form", ["pixels", "rows", "patches"])
def test_an_image_as_a_sequence(form):
    spec = f"image_classification(data=clothing32,form={form},patch=8)"
    _, columns, batch = whole(spec, "test")
    for row, image in enumerate(columns["image"]):
        if form == "patches":
            wanted = [
                image[y : y + 8, x : x + 8].ravel()
                for y, x in itertools.product(range(0, 32, 8), repeat=2)
            ]
        else:
            wanted = image.reshape((1024, 3) if form == "pixels" else (32, 96))
        scaled = np.asarray(wanted, np.float64) / 127.5 - 1
        np.testing.assert_allclose(batch.inputs[row], scaled, atol=1e-6)
    np.testing.assert_array_equal(batch.targets, columns["label"].values)


def test_a_permutation_is_one_for_all_splits():
    _, _, plain = whole("image_classification", "test")
    _, _, moved = whole("image_classification(permute=true)", "test")
    order = np.random.default_rng(0).permutation(784)
    np.testing.assert_array_equal(moved.inputs, plain.inputs[:, order])


def test_the_pixels_of_an_image_follow_each_other():
    task, columns, batch = whole("image_generation(data=clothing32)", "test")
    flat = np.asarray(columns["image"].values).reshape(COUNTS["test"], -1)
    np.testing.assert_array_equal(batch.targets, flat)
    assert np.all(batch.inputs[:, 0] == 256)
    np.testing.assert_array_equal(batch.inputs[:, 1:], flat[:, :-1])
    # From a target back to where the pixel above it is an input.
    place = 1000
    above = place - batch.gap[0, place]
    assert batch.inputs[0, above] == flat[0, place - 96]
    assert task.spec.length == 3072


def test_a_recording_as_a_wave():
    _, columns, batch = whole("audio_classification(samples=320)", "train")
    for row, wave in enumerate(columns["audio"]):
        wanted = padded(wave, 320) / 3276.8
        np.testing.assert_allclose(batch.inputs[row, :, 0], wanted, rtol=1e-5)
        assert batch.segments[row].sum() == min(320, len(wave))


def test_a_string_joins_whole_recordings_of_its_split():
    task = tasks.make("spoken_strings(form=wave,samples=960,words=4)")
    columns = packed.load("fsdd")["test"]
    key = jax.random.key(5)
    batch = drawn(task, key, "test", 64)

    @jax.jit
    def choices():
        draws = Draws(key, "test", 64, 5)
        return 1 + draws.integers(1, 4)[:, 0], draws.integers(4, COUNTS["test"])

    counts, index = map(np.asarray, choices())
    full = 0
    for row in range(64):
        said = []
        for number in index[row, : counts[row]]:
            wave = columns["audio"][int(number)]
            if sum(map(len, said)) + len(wave) > 960:
                break
            said.append(wave)
        full += len(said) == counts[row]
        wanted = padded(np.concatenate(said), 960) / 3276.8
        np.testing.assert_allclose(batch.inputs[row, :, 0], wanted, rtol=1e-5)
        labels = [int(columns["label"].values[n]) + 1 for n in index[row, : len(said)]]
        assert batch.targets[row].tolist() == labels + [0] * (4 - len(said))
        assert batch.weights[row] == len(said)
        assert batch.segments[row].sum() == sum(map(len, said))
    assert 0 < full < 64


def test_a_string_is_written_as_the_names_of_its_words():
    key = jax.random.key(5)
    heard, written = (
        drawn(tasks.make(f"spoken_strings(samples=1600,{more})"), key, "test", 64)
        for more in ("words=4", "words=4,writes=true")
    )
    np.testing.assert_array_equal(heard.inputs, written.source)
    np.testing.assert_array_equal(heard.segments, written.source_segments)
    for row, labels in enumerate(heard.targets.tolist()):
        said = " ".join(str(label - 1) for label in labels if label)
        assert bytes(written.targets[row].tolist()).rstrip(b"\0").decode() == said
        assert written.weights[row].sum() == (len(said) + 1) * bool(said)


@pytest.mark.parametrize("split", SPLITS)
def test_every_window_of_a_series_is_an_example(split):
    task, _, batch = whole("forecasting(context=24,horizon=8)", split)
    parts = [np.asarray(packed.load("etth1")[s]["values"][0]) for s in SPLITS]
    series = (np.concatenate(parts) - parts[0].mean(0)) / parts[0].std(0)
    edges = np.cumsum([0, *SERIES.values()])
    place = SPLITS.index(split)
    starts = range(max(24, edges[place]), edges[place + 1] - 8 + 1)
    assert len(batch.inputs) == 7 * len(starts)
    for number, (start, channel) in enumerate(itertools.product(starts, range(7))):
        one = series[start - 24 : start + 8, channel]
        np.testing.assert_allclose(batch.inputs[number, :, 0], one[:24], atol=1e-5)
        np.testing.assert_allclose(batch.targets[number], one[24:], atol=1e-5)
    assert task.spec.goal == "min"


def test_naive_forecasts_err_as_loops_over_the_examples_say():
    task, _, learned = whole("forecasting(context=24,horizon=8)", "train")
    _, _, tested = whole("forecasting(context=24,horizon=8)", "test")
    wanted_NH, level_N1 = tested.targets, tested.inputs[:, -1:, 0]

    def read(batch):
        ahead_NT = batch.inputs[:, :, 0] - batch.inputs[:, -1]
        return np.c_[ahead_NT, np.ones(len(ahead_NT))]

    ahead_NH = learned.targets - learned.inputs[:, -1]
    map_XH = np.linalg.lstsq(read(learned), ahead_NH, rcond=None)[0]
    forecasts = {
        "the last value": level_N1,
        "the last day": tested.inputs[:, :8, 0],
        "a linear map": read(tested) @ map_XH + level_N1,
    }
    notes = task.notes(task.arrays())
    assert len(notes) == len(forecasts)
    for note, (name, forecast_NH) in zip(notes, forecasts.items(), strict=True):
        error = forecast_NH - wanted_NH
        assert name in note
        mse, mae = map(float, re.findall(r"of (\d+\.\d+)", note))
        assert mse == pytest.approx(np.mean(error**2), rel=0.01)
        assert mae == pytest.approx(np.mean(abs(error)), rel=0.01)
