"""Contours of dashes in many pictures at once, with numpy.

A contour bends at random and keeps its distance from earlier ones. Points are (y, x) in
pixels; axes: N pictures, L dashes of a contour from end to end, K candidates for the
next dash, Q points.
"""

from typing import NamedTuple

import numpy as np


class Geometry(NamedTuple):
    """Lengths in pixels; contours keep more than twice a gap between each other."""

    dash: float  # the middle line of one dash
    gap: float  # between the middle lines of neighbours on a contour
    width: float
    dot: float  # the radius
    clear: float  # between the middle lines of different contours
    fine: int  # cells per pixel of the map of taken room


# Angles from a dash to candidates for the next: standard deviations, gentle ones first.
BEND_K = np.linspace(0.3, 1.2, 16)
SHARPEST = 1.2
AHEAD_Q = np.arange(1, 4)  # dashes after the next one that should have room
HALVES_Q = np.array([0, 0.5, 1])  # places along a dash that must be free
ROUND = np.linspace(0, 2 * np.pi, 8, endpoint=False)
ROUND_Q2 = np.stack([np.sin(ROUND), np.cos(ROUND)], axis=1)


class Contours(NamedTuple):
    """Dashes with their two ends, and which of them are placed."""

    dashes_NL22: np.ndarray
    placed_NL: np.ndarray

    def at(self, rows: np.ndarray) -> "Contours":
        """The contours of some pictures."""
        return Contours(self.dashes_NL22[rows], self.placed_NL[rows])

    @property
    def ends_N22(self) -> np.ndarray:
        """The first and the last point of each contour."""
        return np.stack([self.dashes_NL22[:, 0, 0], self.dashes_NL22[:, -1, 1]], axis=1)


class Taken(NamedTuple):
    """A map of taken cells, the margin around a picture among them."""

    cells_NYX: np.ndarray
    fine: int
    margin: int

    def near(self, rows_R: np.ndarray, points_RKQ2: np.ndarray) -> np.ndarray:
        """Whether points of some pictures are taken, RKQ."""
        cell = self._cell(points_RKQ2)
        return self.cells_NYX[rows_R[:, None, None], cell[..., 0], cell[..., 1]]

    def take(self, rows_R: np.ndarray, points_RQ2: np.ndarray, radius: float) -> None:
        """Takes the cells around points of some pictures."""
        reach = int(radius * self.fine)
        offset, side = np.arange(-reach, reach + 1), self.cells_NYX.shape[1]
        inside = np.hypot(offset[:, None], offset) <= radius * self.fine
        disc_C = (offset[:, None] * side + offset)[inside]
        cell = self._cell(points_RQ2).astype(np.int64)
        first_RQ = (rows_R[:, None] * side + cell[..., 0]) * side + cell[..., 1]
        self.cells_NYX.reshape(-1)[first_RQ[:, :, None] + disc_C] = True

    def _cell(self, points: np.ndarray) -> np.ndarray:
        cell = np.floor(points * self.fine).astype(np.int32) + self.margin
        return np.clip(cell, self.margin - 1, self.cells_NYX.shape[1] - self.margin)


def empty(count: int, size: int, geometry: Geometry) -> Taken:
    """Pictures where only the border, a pixel wide, is taken."""
    margin = 1 + int((geometry.clear + geometry.dot) * geometry.fine)
    side = size * geometry.fine + 2 * margin
    cells_NYX = np.ones((count, side, side), bool)
    border = margin + geometry.fine
    cells_NYX[:, border:-border, border:-border] = False
    return Taken(cells_NYX, geometry.fine, margin)


def grown(
    rng: np.random.Generator,
    taken: Taken,
    size: int,
    dashes: int,
    geometry: Geometry,
    *,
    dotted: bool,
) -> Contours:
    """A new contour in each picture, its room marked as taken.

    If `dotted`, either end has room for a dot. A contour stops at the first dash
    without room.
    """
    count, (dash, gap) = len(taken.cells_NYX), geometry[:2]
    dashes_NL22 = np.zeros((count, dashes, 2, 2))
    placed_NL = np.zeros((count, dashes), bool)
    alive_N, heading_N = np.ones(count, bool), np.zeros(count)
    for at in range(dashes):
        rows_R = np.flatnonzero(alive_N)
        if at == 0:
            angle_RK = rng.uniform(0, 2 * np.pi, (len(rows_R), len(BEND_K)))
            toward_RK2 = _direction(angle_RK)
            start_RK2 = rng.uniform(0, size, toward_RK2.shape)
        else:
            bend_RK = BEND_K * rng.normal(size=(len(rows_R), len(BEND_K)))
            bend_RK = np.clip(bend_RK, -SHARPEST, SHARPEST)
            angle_RK = heading_N[rows_R, None] + bend_RK
            toward_RK2 = _direction(angle_RK)
            start_RK2 = dashes_NL22[rows_R, at - 1, None, 1] + gap * toward_RK2
        looks_RKQ2 = _steps(start_RK2, toward_RK2, HALVES_Q * dash)
        ahead_RKQ2 = _steps(start_RK2, toward_RK2, AHEAD_Q * (dash + gap) + dash)
        if dotted and at in (0, dashes - 1):
            tip_RK12 = looks_RKQ2[:, :, :1] if at == 0 else looks_RKQ2[:, :, -1:]
            around_RKQ2 = tip_RK12 + geometry.dot * ROUND_Q2
            looks_RKQ2 = np.concatenate([looks_RKQ2, around_RKQ2], axis=2)
        free_RK = ~np.any(taken.near(rows_R, looks_RKQ2), axis=2)
        room_RK = np.sum(~taken.near(rows_R, ahead_RKQ2), axis=2)
        # The gentlest bend among those with the most room ahead.
        pick_R = np.argmax(free_RK * (1 + room_RK), axis=1)
        if at:  # only now: the next dash begins nearer than others may come
            taken.take(rows_R, _points(dashes_NL22[rows_R, at - 1]), geometry.clear)
        each_R = np.arange(len(rows_R))
        start_R2, toward_R2 = start_RK2[each_R, pick_R], toward_RK2[each_R, pick_R]
        dashes_NL22[rows_R, at, 0] = start_R2
        dashes_NL22[rows_R, at, 1] = start_R2 + dash * toward_R2
        heading_N[rows_R] = angle_RK[each_R, pick_R]
        alive_N[rows_R] = placed_NL[rows_R, at] = free_RK[each_R, pick_R]
    rows_R = np.flatnonzero(alive_N)
    taken.take(rows_R, _points(dashes_NL22[rows_R, -1]), geometry.clear)
    found = Contours(dashes_NL22, placed_NL)
    if dotted:
        taken.take(rows_R, found.ends_N22[rows_R], geometry.clear + geometry.dot)
    return found


def _direction(angle: np.ndarray) -> np.ndarray:
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1)


def _steps(
    start_RK2: np.ndarray, toward_RK2: np.ndarray, distance_Q: np.ndarray
) -> np.ndarray:
    """Points RKQ2 at some distances from a start."""
    return start_RK2[:, :, None] + toward_RK2[:, :, None] * distance_Q[:, None]


def _points(dashes_R22: np.ndarray) -> np.ndarray:
    """Both ends and the middle of dashes, RQ2."""
    first_R2, last_R2 = dashes_R22[:, 0], dashes_R22[:, 1]
    return np.stack([first_R2, (first_R2 + last_R2) / 2, last_R2], axis=1)
