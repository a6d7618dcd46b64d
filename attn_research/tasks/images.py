"""Images as sequences: their class, or their pixels one after another."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import BadInput, declared, option
from attn_research.tasks.contract import (
    LARGEST,
    SPLITS,
    Batch,
    Spec,
    Split,
    random_batch,
)
from attn_research.tasks.data import packed
from attn_research.tasks.parts import set_notes, sets


@declared
class ImageClassification:
    """The class of an image, read pixel by pixel, row by row, or patch by patch.

    Pixels are scaled to [-1, 1]. `permute` reorders the positions by one fixed
    permutation (Le et al., 2015, arXiv:1504.00941), which separates neighbours.
    """

    data: str = option("mnist_t10k", "Data set with an image and a label.")
    form: Literal["pixels", "rows", "patches"] = option(
        "pixels", "Content of a position."
    )
    patch: int = option(4, "Side of a patch, in pixels.", low=1, high=LARGEST)
    label: str = option("label", "Feature to predict.")
    permute: bool = option(False, "Reorder the positions.")
    data_dir: str = sets.data_option()

    @property
    def spec(self) -> Spec:
        names = sets.names(self.data, self.data_dir, self.label)
        length, features = self._form()
        in_order = self.form != "patches" and not self.permute
        return Spec(
            inputs="values",
            features=features,
            target="class",
            outputs=len(names),
            length=length,
            causal=False,
            whole=True,
            labels=1,
            metrics=("accuracy", "macro_f1", "loss"),
            per_sequence=True,
            chance=1 / len(names),
            finite=True,
            names=names,
            picture=image_shape(self.data, self.data_dir) if in_order else None,
        )

    def _form(self) -> tuple[int, int]:
        """The number of positions, and of values in each."""
        height, width, channels = image_shape(self.data, self.data_dir)
        match self.form:
            case "pixels":
                return height * width, channels
            case "rows":
                return height, width * channels
        if height % self.patch or width % self.patch:
            raise BadInput(
                f"image_classification.patch is {self.patch}; it must divide the sides "
                f"of the images of {self.data}, {height} x {width} pixels"
            )
        side = self.patch
        return height * width // side**2, channels * side**2

    def arrays(self) -> dict[str, Any]:
        """The positions of every image, as bytes."""
        columns = sets.loaded(self.data, self.data_dir, "image", self.label)
        images, edges = every_image(columns)
        length, features = self._form()
        if self.form == "patches":
            side, (count, height, width, _) = self.patch, images.shape
            images = images.reshape(
                count, height // side, side, width // side, side, -1
            ).swapaxes(2, 3)
        images = images.reshape(len(images), length, features)
        if self.permute:
            images = images[:, np.random.default_rng(0).permutation(length)]
        label = sets.labels(columns, self.label)
        return {"image": np.ascontiguousarray(images), "label": label, "edges": edges}

    def notes(self, arrays: Any) -> list[str]:
        """Notes on missing splits and their replacements."""
        notes = set_notes.split_notes(self.data, self.data_dir)
        return [*notes, *set_notes.class_notes(arrays)]

    batch, count = random_batch, sets.count

    def examples(
        self, index_B: jax.Array, split: Split | jax.Array, arrays: Any
    ) -> Batch:
        row_B = sets.rows(arrays["edges"], split, index_B)
        image_BTF = arrays["image"][row_B].astype(jnp.float32)
        return Batch(
            inputs=image_BTF * (2 / 255) - 1,
            targets=arrays["label"][row_B],
            weights=jnp.ones(index_B.shape),
            segments=jnp.ones(image_BTF.shape[:2], jnp.int32),
            gap=jnp.full(index_B.shape, -1),
        )


@declared
class ImageGeneration:
    """The next byte of an image, from all bytes before it in reading order.

    The channels of a pixel follow each other (van den Oord et al., 2016,
    arXiv:1601.06759). The first input is a special token, 256. `gap` is the distance to
    the same channel of the pixel above, -1 in the first row.
    """

    data: str = option("mnist_t10k", "Data set with an image.")
    data_dir: str = sets.data_option()

    @property
    def spec(self) -> Spec:
        shape = image_shape(self.data, self.data_dir)
        length = int(np.prod(shape))
        return Spec(
            inputs="tokens",
            features=257,
            target="token",
            outputs=257,
            length=length,
            causal=True,
            whole=True,
            labels=length,
            metrics=("bits_per_dimension", "loss", "accuracy"),
            chance=8.0,
            finite=True,
            picture=shape,
        )

    def arrays(self) -> dict[str, Any]:
        images, edges = every_image(sets.loaded(self.data, self.data_dir, "image"))
        return {"image": images.reshape(len(images), -1), "edges": edges}

    def notes(self, arrays: Any) -> list[str]:
        """Notes on missing splits and their replacements."""
        return set_notes.split_notes(self.data, self.data_dir)

    batch, count = random_batch, sets.count

    def examples(
        self, index_B: jax.Array, split: Split | jax.Array, arrays: Any
    ) -> Batch:
        row_B = sets.rows(arrays["edges"], split, index_B)
        byte_BT = arrays["image"][row_B].astype(jnp.int32)
        shape = byte_BT.shape
        _, width, channels = image_shape(self.data, self.data_dir)
        above = width * channels
        place_1T = jnp.arange(shape[1])[None]
        gap_1T = jnp.where(place_1T >= above, above - 1, -1)
        return Batch(
            inputs=jnp.pad(byte_BT, ((0, 0), (1, 0)), constant_values=256)[:, :-1],
            targets=byte_BT,
            weights=jnp.ones(shape),
            segments=jnp.ones(shape, jnp.int32),
            gap=jnp.broadcast_to(gap_1T, shape),
        )


def image_shape(data: str, data_dir: str) -> tuple[int, int, int]:
    """Height, width and channels; raises `BadInput` if there are no images."""
    feature = packed.manifest(data, data_dir or None)["features"].get("image", {})
    shape = feature.get("shape", [])
    if len(shape) not in (2, 3) or not all(shape):
        raise BadInput(f"The data set {data} must have images of one size")
    height, width, *channels = shape
    return height, width, channels[0] if channels else 1


def every_image(columns: packed.Columns) -> tuple[np.ndarray, np.ndarray]:
    """The images of all splits with an axis for channels, and the edges."""
    images = {split: np.asarray(columns[split]["image"].values) for split in SPLITS}
    stacked = sets.stacked(images)
    if stacked.ndim == 3:
        stacked = stacked[..., None]
    return stacked, sets.edges(images)
