"""Captions of generated video: a sentence that says which images move where."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import BadInput, declared, option
from attn_research.tasks import images
from attn_research.tasks.contract import (
    LARGEST,
    Batch,
    Draws,
    Spec,
    Split,
    check_arrays,
)
from attn_research.tasks.parts import set_notes, sets
from attn_research.tasks.translation import written

# Down and to the right, in pixels, for each direction.
DIRECTIONS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
THEN, SPACE = "then", ord(" ")


@declared
class Captioning:
    """`3 moves left then 7 moves up`, written by a decoder that reads the video.

    Random images of the split move one after another over an empty canvas at constant
    speed: across half of the free room, from a random start at which the path fits. The
    moves have equal shares of the frames. A source position is a frame, its pixels
    scaled to [0, 1]; the sentence is written byte by byte. Moving digits: Srivastava et
    al., 2015, arXiv:1502.04681; with sentences: Mittal et al., 2016, arXiv:1611.10314.
    """

    data: str = option("mnist_t10k", "Data set with an image and a label.")
    moves: int = option(2, "Images that move, one after another.", low=1, high=3)
    frames: int = option(12, "Frames of a video.", low=2, high=LARGEST)
    side: int = option(48, "Side of the canvas, in pixels.", low=1, high=LARGEST)
    label: str = option("label", "Feature that names an image.")
    data_dir: str = sets.data_option()

    def __post_init__(self) -> None:
        if self.frames < 2 * self.moves:
            raise BadInput(
                f"captioning.frames is {self.frames}; for {self.moves} moves it must "
                f"be at least {2 * self.moves}"
            )

    @property
    def spec(self) -> Spec:
        shape = images.image_shape(self.data, self.data_dir)
        self._speed(shape)
        length = self._length(self._names())
        return Spec(
            inputs="tokens",
            features=256,
            target="token",
            outputs=256,
            length=length,
            causal=True,
            labels=length,
            metrics=("bits_per_byte", "accuracy", "loss"),
            chance=8.0,
            source_inputs="values",
            source_features=self.side**2 * shape[2],
            source_length=self.frames,
        )

    def _names(self) -> tuple[str, ...]:
        return sets.names(self.data, self.data_dir, self.label)

    def _length(self, names: tuple[str, ...]) -> int:
        """Bytes of the longest sentence and its end."""
        clauses = _clauses(names)
        longest = max(len(clause.encode()) for clause in clauses)
        between = len(f" {THEN} ")
        return self.moves * (longest + between) - between + 1

    def _speed(self, shape: tuple[int, int, int]) -> int:
        """Pixels per frame: half of the free room during one move."""
        room = self.side - max(shape[:2])
        steps = -(-self.frames // self.moves) - 1
        if room < 2 * steps:
            raise BadInput(
                f"captioning.side is {self.side}; for moves of {steps + 1} frames and "
                f"the images of {self.data} it must be at least "
                f"{max(shape[:2]) + 2 * steps}"
            )
        return room // (2 * steps)

    def arrays(self) -> dict[str, Any]:
        """Every image and its class, and the clauses of the sentences."""
        columns = sets.loaded(self.data, self.data_dir, "image", self.label)
        pixels, edges = images.every_image(columns)
        clauses = _clauses(self._names())
        return {
            "image": pixels,
            "label": sets.labels(columns, self.label),
            "edges": edges,
            "first": _bytes(clauses),
            "later": _bytes(f"{THEN} {clause}" for clause in clauses),
        }

    def notes(self, arrays: Any) -> list[str]:
        """Notes on missing splits and their replacements."""
        return set_notes.split_notes(self.data, self.data_dir)

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        check_arrays(arrays)
        count = sets.split_size(arrays["edges"], split).astype(jnp.uint32)
        draws = Draws(key, split, size, 4 * self.moves)
        index_BM = draws.integers(self.moves, count)
        row_BM = sets.rows(arrays["edges"], split, index_BM)
        way_BM = draws.integers(self.moves, len(DIRECTIONS))
        clause_BM = arrays["label"][row_BM] * len(DIRECTIONS) + way_BM
        # The zero that joins two clauses becomes the space between them.
        byte_BT, real_BT = sets.joined(
            [arrays["first"], *[arrays["later"]] * (self.moves - 1)],
            list(clause_BM.T),
            self._length(self._names()),
        )
        joint_BT = (byte_BT == sets.END) & (real_BT > 0)
        byte_BT = jnp.where(joint_BT, jnp.uint8(SPACE), byte_BT)
        inputs_BT, targets_BT, counted_BT = written(byte_BT, real_BT)
        return Batch(
            inputs=inputs_BT,
            targets=targets_BT,
            weights=counted_BT.astype(jnp.float32),
            segments=counted_BT,
            gap=jnp.full(inputs_BT.shape, -1),
            source=self._video(arrays["image"], row_BM, way_BM, draws),
            source_segments=jnp.ones((size, self.frames), jnp.int32),
        )

    def _video(
        self,
        image_NHWC: jax.Array,
        row_BM: jax.Array,
        way_BM: jax.Array,
        draws: Draws,
    ) -> jax.Array:
        """Frames as values_BTF; `draws` chooses where each move begins."""
        shape = images.image_shape(self.data, self.data_dir)
        which_T = np.arange(self.frames) * self.moves // self.frames
        age_T = np.arange(self.frames) - np.searchsorted(which_T, which_T)
        speed = self._speed(shape)
        step_BM2 = speed * jnp.array(list(DIRECTIONS.values()))[way_BM]
        longest_M = np.array([age_T[which_T == m].max() for m in range(self.moves)])
        far_BM2 = step_BM2 * jnp.asarray(longest_M)[None, :, None]
        free_2 = jnp.array([self.side - extent for extent in shape[:2]])
        places_BM2 = free_2[None, None] + 1 - jnp.abs(far_BM2)
        start_BM2 = draws.integers(
            2 * self.moves, places_BM2.reshape(-1, 2 * self.moves)
        ).reshape(far_BM2.shape)
        start_BM2 = start_BM2 + jnp.maximum(-far_BM2, 0)
        moved_BT2 = step_BM2[:, which_T] * jnp.asarray(age_T)[None, :, None]
        at_BT2 = start_BM2[:, which_T] + moved_BT2

        def onto(axis: int) -> jax.Array:
            """1 where a line of the canvas shows a line of the image, BTSH."""
            canvas_S1 = jnp.arange(self.side)[:, None]
            line_1H = jnp.arange(shape[axis])[None]
            shift_BT11 = at_BT2[:, :, axis, None, None]
            shown = (canvas_S1 - line_1H)[None, None] == shift_BT11
            return shown.astype(jnp.float32)

        # Every sum has one term, a byte: exact in any precision of the products.
        image_BTHWC = image_NHWC[row_BM][:, which_T].astype(jnp.float32)
        canvas_BTYXC = jnp.einsum(
            "BTYH,BTHWC,BTXW->BTYXC", onto(0), image_BTHWC, onto(1)
        )
        return canvas_BTYXC.reshape(*canvas_BTYXC.shape[:2], -1) / 255


def _clauses(names: tuple[str, ...]) -> list[str]:
    """The clause for each class and direction, in their order."""
    return [f"{name} moves {way}" for name in names for way in DIRECTIONS]


def _bytes(texts: Any) -> sets.Stretches:
    return sets.stretches(np.frombuffer(text.encode(), np.uint8) for text in texts)
