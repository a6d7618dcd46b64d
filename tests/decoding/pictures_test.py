"""Images that models draw and misread, from their bytes to the page."""

import io

import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest

from attn_research.config import Config, Model, Train
from attn_research.decoding import judging, pictures
from attn_research.report import grids
from attn_research.tasks.data import packed
from attn_research.tasks.parts.shuffled import shuffled
from attn_research.training import population, program
from tests import parameters

NOISE = np.random.default_rng(0).integers(0, 256, (5, 2, 3, 3)).astype(np.uint8)


class Ramp:
    """A module that answers a byte with the next one; it begins with 7."""

    def __init__(self, always: int | None = None):
        self.always = always

    def start(self, batch, length):
        assert length == 6, "no position more than in training"
        return jnp.zeros(batch)

    def step(self, token_B, carry):
        answer_B = jnp.where(token_B == pictures.FIRST, 7, token_B + 1)
        if self.always is not None:
            answer_B = jnp.full_like(token_B, self.always)
        return 1e6 * jax.nn.one_hot(answer_B, 257), carry


def test_an_image_is_drawn_from_the_first_byte_to_the_last():
    @jax.jit
    def drawn(key):
        top = pictures.sampled(Ramp(always=256), 1, 6, key)
        return pictures.sampled(Ramp(), 2, 6, key), top

    found, top = map(np.asarray, drawn(jax.random.key(0)))
    np.testing.assert_array_equal(found, [[7, 8, 9, 10, 11, 12]] * 2)
    assert top.max() == 255


def test_packed_images_are_the_same_again():
    told = pictures.packed(NOISE.reshape(5, -1), (2, 3, 3))
    np.testing.assert_array_equal(pictures.unpacked(told), NOISE)
    every = np.arange(256).reshape(1, 128, 2)
    scaled = every.astype(np.float32) * np.float32(2 / 255) - 1
    found = jax.jit(pictures.pixels)(scaled)
    np.testing.assert_array_equal(found, every.reshape(1, -1))


def test_only_misread_images_are_kept():
    said, true = np.arange(40) % 3, np.arange(40) % 2
    bytes = np.repeat(np.arange(40)[:, None], 2, axis=1)
    found = pictures.misread(said, true, bytes, (1, 2, 1), ["x", "y", "z"])
    wrong = np.flatnonzero(said != true)
    assert found["count"] == len(wrong) > pictures.SHOWN
    kept = wrong[: pictures.SHOWN]
    np.testing.assert_array_equal(pictures.unpacked(found)[:, 0, 1, 0], kept)
    assert found["names"] == [["xyz"[true[n]], "xyz"[said[n]]] for n in kept]


@pytest.mark.parametrize("count", [1, 5, 16])
def test_a_grid_holds_every_image_once(count):
    images = np.resize(NOISE, (count, 2, 3, 3))
    sheet = grids.grid(images)
    side = int(np.ceil(np.sqrt(count)))
    found = [
        sheet[1 + 3 * line : 3 + 3 * line, 1 + 4 * column : 4 + 4 * column]
        for line in range(sheet.shape[0] // 3)
        for column in range(side)
    ]
    np.testing.assert_array_equal(found[:count], images)
    assert all(np.all(place == grids.PAPER) for place in found[count:])
    assert np.all(sheet[::3] == grids.PAPER) and np.all(sheet[:, ::4] == grids.PAPER)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_png_has_the_pixels_of_its_image(channels):
    image = NOISE[0, :, :, :channels]
    address = grids._inline(image)
    kind, _, content = address.partition(",")
    assert kind == "data:image/png;base64" and address == grids._inline(image)
    content = pictures.base64.b64decode(content)
    found = np.rint(matplotlib.image.imread(io.BytesIO(content)) * 255)[..., :3]
    grey = image.mean(axis=2, keepdims=True).astype(np.uint8)
    wanted = image if channels == 3 else np.repeat(grey, 3, axis=2)
    np.testing.assert_array_equal(found, wanted)


def told(spec: str, model: Model, decode: int):
    """The model of a task, parameters, its data, and what was decoded."""
    few = Train(batch=4, decode=decode)
    made = program.make(program.resolve(Config(spec, model, few)), population.mesh())
    params = parameters.drawn(made.model)
    arrays = jax.tree.map(jnp.asarray, made.task.arrays())
    return made, params, arrays, judging.decoded(made, params, arrays)["decoded"]


def test_a_model_draws_beside_the_images_there_are(data_sets):
    model = Model("conv", layers=1, width=8, positions="learned")
    *_, found = told("image_generation", model, 6)
    drawn, real = (pictures.unpacked(found["pictures"][n]) for n in ("drawn", "real"))
    assert drawn.shape == real.shape == (6, 28, 28, 1) and found["examples"] == 6
    images = packed.load("mnist_t10k")["test"]["image"].values
    chosen = np.asarray(shuffled(jnp.arange(6), len(images)))
    np.testing.assert_array_equal(real[..., 0], images[chosen])
    assert len(np.unique(drawn)) > 20
    assert all(not np.array_equal(drawn[0], other) for other in drawn[1:])


def test_a_model_of_classes_shows_what_it_misreads(data_sets):
    spec = "image_classification(data=clothing32,form=rows)"
    made, params, arrays, found = told(spec, Model("conv", layers=1, width=8), 7)

    columns = packed.load("clothing32")["test"]
    chosen = shuffled(jnp.arange(7), len(columns["label"]))

    @jax.jit
    def answers(params, arrays):
        whole = made.task.examples(chosen, "test", arrays)
        logits_BV = made.model.apply(params, whole.inputs, whole.segments)
        return jnp.argmax(logits_BV, axis=-1), whole.targets

    said, wanted = map(np.asarray, answers(params, arrays))
    wrong = np.flatnonzero(said != wanted)
    assert found["examples"] == 7 and found["misread"]["count"] == len(wrong) > 0
    shown = pictures.unpacked(found["misread"])
    images = columns["image"].values[np.asarray(chosen)]
    np.testing.assert_array_equal(shown, images[wrong])
    names = columns["label"].feature.names
    true = columns["label"].values[np.asarray(chosen)]
    assert found["misread"]["names"] == [
        [names[true[n]], names[said[n]]] for n in wrong
    ]
