"""Pathfinder: whether two dots lie on one dashed contour, pixel by pixel."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import BadInput, declared, option
from attn_research.tasks.contract import (
    LARGEST,
    Batch,
    Draws,
    Spec,
    Split,
    check_arrays,
)
from attn_research.tasks.parts import pathfinder_pictures as pictures
from attn_research.tasks.parts import pool

CHUNK, FUTILE = 500, 10  # pictures begun at once; fruitless chunks before giving up


@declared
class Pathfinder:
    """Two dots and many dashed contours: does one contour connect the dots?

    Two contours are long; the dots are at both ends of one of them, or at an end of
    each. Pixels are read row by row. `gap` is the distance in tokens between the dots.
    A picture of the pool appears in its eight mirror images. Linsley et al., 2018,
    arXiv:1805.08315; lengths, widths and numbers are close to those of Tay et al.,
    2020, arXiv:2011.04006, for sides of 32, 64 and 128 (Path-X).
    """

    size: int = option(32, "Pixels of a side: 32, 64 or 128.")
    dashes: int = option(
        14, "Dashes of a long contour; 6, 9, 14 are published.", low=2, high=LARGEST
    )
    distractors: int = option(
        5, "Short contours, a third as long; 8 are published at 128.", low=0, high=100
    )
    inputs: Literal["values", "tokens"] = option(
        "values", "Grey as a number from 0 to 1, or as one of 256 tokens."
    )
    examples: int = option(
        10_000, "Training pictures in the pool.", low=1, high=LARGEST
    )
    held_out: int = option(
        1000, "Validation pictures, and test pictures.", low=1, high=LARGEST
    )
    seed: int = option(0, "Seed of the pool.", low=0)

    def __post_init__(self) -> None:
        if self.size not in pictures.GEOMETRY:
            raise BadInput(f"pathfinder.size is {self.size}; it must be 32, 64 or 128")
        pool.check("pathfinder", self.examples, self.held_out, self.size**2)

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs=self.inputs,
            features=256 if self.inputs == "tokens" else 1,
            target="class",
            outputs=2,
            length=self.size**2,
            causal=False,
            whole=True,
            labels=1,
            metrics=("accuracy", "macro_f1", "loss"),
            per_sequence=True,
            chance=1 / 2,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Grey levels (uint8), labels, and the pixels of the dots.

        Raises `BadInput` if contours of this length do not fit.
        """
        edges_4 = pool.edges(self.examples, self.held_out)
        rng, wanted = np.random.default_rng(self.seed), int(edges_4[-1])
        made: list[pictures.Layouts] = []
        count, missing = 0, wanted
        while True:
            goal = count + missing
            while count < goal:
                made.append(
                    pictures.layouts(
                        rng, CHUNK, self.size, self.dashes, self.distractors
                    )
                )
                count += len(made[-1].ends_N42)
                if not count and len(made) == FUTILE:
                    raise BadInput(
                        f"pathfinder.dashes is {self.dashes}; it must be fewer for two "
                        f"contours to fit {self.size} x {self.size} pixels"
                    )
            layouts = pictures.joined(made)
            dots = pictures.dotted(rng, layouts.ends_N42, self.size)
            missing = wanted - len(dots.rows_R)
            if missing <= 0:
                break
        rows_N, connected_N, dots_N22 = (field[:wanted] for field in dots)
        parts = [slice(at, at + CHUNK) for at in range(0, wanted, CHUNK)]
        grey = [
            pictures.rendered(layouts.at(rows_N[part]), dots_N22[part], self.size)
            for part in parts
        ]
        return {
            "grey": np.concatenate(grey),
            "connected": connected_N.astype(np.int32),
            "dots": np.floor(dots_N22).astype(np.int32),
            "edges": edges_4,
        }

    def notes(self, arrays: Any) -> list[str]:
        """No notes: the splits of the pool have no example in common."""
        return []

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        check_arrays(arrays)
        draws = Draws(key, split, size, 4)
        row_B = pool.rows(draws, split, arrays["edges"])
        down_B1, across_B1, turned_B1 = jnp.split(draws.integers(3, 2) > 0, 3, axis=1)
        grey_BYX = arrays["grey"][row_B]
        grey_BYX = jnp.where(down_B1[:, :, None], grey_BYX[:, ::-1], grey_BYX)
        grey_BYX = jnp.where(across_B1[:, :, None], grey_BYX[:, :, ::-1], grey_BYX)
        turned_BYX = jnp.swapaxes(grey_BYX, 1, 2)
        grey_BYX = jnp.where(turned_B1[:, :, None], turned_BYX, grey_BYX)
        grey_BT = grey_BYX.reshape(size, -1)
        y_B2, x_B2 = jnp.moveaxis(arrays["dots"][row_B], 2, 0)
        y_B2 = jnp.where(down_B1, self.size - 1 - y_B2, y_B2)
        x_B2 = jnp.where(across_B1, self.size - 1 - x_B2, x_B2)
        y_B2, x_B2 = jnp.where(turned_B1, x_B2, y_B2), jnp.where(turned_B1, y_B2, x_B2)
        at_B2 = y_B2 * self.size + x_B2
        if self.inputs == "tokens":
            inputs = grey_BT.astype(jnp.int32)
        else:
            inputs = grey_BT.astype(jnp.float32)[:, :, None] / 255
        return Batch(
            inputs=inputs,
            targets=arrays["connected"][row_B],
            weights=jnp.ones(size),
            segments=jnp.ones(grey_BT.shape, jnp.int32),
            gap=jnp.abs(at_B2[:, 0] - at_B2[:, 1]),
        )
