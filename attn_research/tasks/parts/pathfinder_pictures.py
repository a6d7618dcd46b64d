"""The pictures of Pathfinder: two long contours, short ones, and two dots."""

from typing import NamedTuple

import numpy as np

from attn_research.tasks.parts.contours import Contours, Geometry, empty, grown

# By the side of a picture.
GEOMETRY = {
    32: Geometry(dash=1.8, gap=1.2, width=1.0, dot=1.5, clear=3.4, fine=4),
    64: Geometry(dash=4.2, gap=1.8, width=1.0, dot=2.5, clear=5.5, fine=2),
    128: Geometry(dash=5.0, gap=2.5, width=1.5, dot=3.0, clear=6.5, fine=2),
}
TRIES = 6  # attempts at a second contour before the first one is given up
# Pairs of ends for the dots: 0 and 1 belong to the first long contour, 2 and 3 to the
# second.
SAME, OTHER = ((0, 1), (2, 3)), ((0, 2), (0, 3), (1, 2), (1, 3))
PAIRS_62 = np.array([*SAME, *OTHER])
BINS = 16  # of distances, over the side


class Layouts(NamedTuple):
    """Contours of pictures: dashes, which are placed, and the ends of the long ones."""

    dashes_NL22: np.ndarray
    placed_NL: np.ndarray
    ends_N42: np.ndarray

    def at(self, rows_R: np.ndarray) -> "Layouts":
        """Some of the pictures."""
        return Layouts(*(array_N[rows_R] for array_N in self))


class Dots(NamedTuple):
    """The chosen pictures, whether their dots are connected, and the dots."""

    rows_R: np.ndarray
    connected_R: np.ndarray
    dots_R22: np.ndarray


def layouts(
    rng: np.random.Generator, attempts: int, size: int, dashes: int, distractors: int
) -> Layouts:
    """The successful of some attempts: two long contours do not always fit."""
    geometry = GEOMETRY[size]
    taken = empty(attempts, size, geometry)
    first = grown(rng, taken, size, dashes, geometry, dotted=True)
    todo_R = np.flatnonzero(first.placed_NL[:, -1])
    fitted: list[tuple[np.ndarray, ...]] = []
    for _ in range(TRIES):
        trial = taken._replace(cells_NYX=taken.cells_NYX[todo_R])
        second = grown(rng, trial, size, dashes, geometry, dotted=True)
        good_R = second.placed_NL[:, -1]
        one, two = first.at(todo_R[good_R]), second.at(good_R)
        fitted.append((trial.cells_NYX[good_R], *one, *two))
        todo_R = todo_R[~good_R]
    cells_NYX, *arrays = map(np.concatenate, zip(*fitted, strict=True))
    taken, long = taken._replace(cells_NYX=cells_NYX), [arrays[:2], arrays[2:]]
    short = [
        grown(rng, taken, size, max(dashes // 3, 1), geometry, dotted=False)
        for _ in range(distractors)
    ]
    ends_N42 = np.concatenate([Contours(*one).ends_N22 for one in long], axis=1)
    dashes_NL22, placed_NL = (
        np.concatenate(part, axis=1) for part in zip(*long, *short, strict=True)
    )
    return Layouts(dashes_NL22, placed_NL, ends_N42)


def joined(parts: list[Layouts]) -> Layouts:
    """The pictures of all parts, concatenated."""
    return Layouts(*map(np.concatenate, zip(*parts, strict=True)))


def dotted(rng: np.random.Generator, ends_N42: np.ndarray, size: int) -> Dots:
    """Two dots in most pictures, whose positions do not reveal the answer.

    Every picture with connected dots has a counterpart with unconnected ones at the
    same distance from each other and from the middle, to a sixteenth of the side.
    Pictures without a counterpart are left out.
    """
    bins_N6 = _bins(ends_N42, size).tolist()
    order_N6 = rng.permuted(np.tile(np.arange(6), (len(bins_N6), 1)), axis=1).tolist()
    coin_N = (rng.random(len(bins_N6)) < 0.5).tolist()
    waiting: dict[tuple[int, bool], list[tuple[int, int]]] = {}
    chosen: list[tuple[int, int]] = []
    drawn_N = zip(bins_N6, order_N6, coin_N, strict=True)
    for row, (bins, order, coin) in enumerate(drawn_N):
        for pair in order:
            counterparts = waiting.get((bins[pair], pair >= len(SAME)))
            if counterparts:
                chosen += [(row, pair), counterparts.pop()]
                break
        else:
            pair = next(pair for pair in order if (pair < len(SAME)) == coin)
            waiting.setdefault((bins[pair], coin), []).append((row, pair))
    rows_R, pairs_R = np.array(sorted(chosen), int).reshape(-1, 2).T
    dots_R22 = ends_N42[rows_R[:, None], PAIRS_62[pairs_R]]
    return Dots(rows_R, pairs_R < len(SAME), dots_R22)


def _bins(ends_N42: np.ndarray, size: int) -> np.ndarray:
    """bin_N6: the binned distances of each pair of ends, to the middle and between."""
    points_N622 = ends_N42[:, PAIRS_62]
    middle_N622, between_N612 = points_N622 - size / 2, np.diff(points_N622, axis=2)
    off_N62 = np.sort(np.hypot(middle_N622[..., 0], middle_N622[..., 1]), axis=2)
    apart_N61 = np.hypot(between_N612[..., 0], between_N612[..., 1])
    distances_N63 = np.concatenate([off_N62, apart_N61], axis=2)
    base = 2 * BINS  # no distance is twice the side
    return (distances_N63 / size * BINS).astype(int) @ [base**2, base, 1]


def rendered(layouts: Layouts, dots_N22: np.ndarray, size: int) -> np.ndarray:
    """The grey levels (uint8) of dashes and dots, with soft edges."""
    geometry, count = GEOMETRY[size], len(dots_N22)
    margin = 4 + int(geometry.dash + geometry.dot)
    light_NYX = np.zeros((count, size + 2 * margin, size + 2 * margin), np.float32)
    for at in range(layouts.placed_NL.shape[1]):
        rows_R = np.flatnonzero(layouts.placed_NL[:, at])
        ends_R22 = layouts.dashes_NL22[rows_R, at] + margin
        _stroke(light_NYX, rows_R, ends_R22[:, 0], ends_R22[:, 1], geometry.width / 2)
    for at in range(2):
        dot_N2 = dots_N22[:, at] + margin
        _stroke(light_NYX, np.arange(count), dot_N2, dot_N2, geometry.dot)
    inner = slice(margin, margin + size)
    return np.rint(255 * light_NYX[:, inner, inner]).astype(np.uint8)


def _stroke(
    light_NYX: np.ndarray,
    rows_R: np.ndarray,
    first_R2: np.ndarray,
    last_R2: np.ndarray,
    radius: float,
) -> None:
    """Adds a stroke from one point to another, with round ends, to some pictures."""
    along_R2 = last_R2 - first_R2
    extent = np.max(np.hypot(along_R2[:, 0], along_R2[:, 1]), initial=0) / 2 + radius
    half = 1 + int(np.ceil(extent))
    corner_R2 = np.floor((first_R2 + last_R2) / 2).astype(int) - half
    offset_D = np.arange(2 * half + 1)
    y_RD1 = (corner_R2[:, :1] + offset_D)[:, :, None]
    x_R1D = (corner_R2[:, 1:] + offset_D)[:, None]
    down_RD1 = y_RD1 + 0.5 - first_R2[:, 0, None, None]
    right_R1D = x_R1D + 0.5 - first_R2[:, 1, None, None]
    dy_R11, dx_R11 = along_R2[:, 0, None, None], along_R2[:, 1, None, None]
    square_R11 = np.maximum(dy_R11**2 + dx_R11**2, 1e-9)
    share_RDD = (down_RD1 * dy_R11 + right_R1D * dx_R11) / square_R11
    share_RDD = np.clip(share_RDD, 0, 1)
    away_RDD = np.hypot(down_RD1 - share_RDD * dy_R11, right_R1D - share_RDD * dx_R11)
    place = rows_R[:, None, None], y_RD1, x_R1D
    level_RDD = np.clip(radius + 0.5 - away_RDD, 0, 1)
    light_NYX[place] = np.maximum(light_NYX[place], level_RDD)
