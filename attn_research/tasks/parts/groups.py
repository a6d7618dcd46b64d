"""Finite groups by name, as multiplication tables of numbered elements."""

import itertools
import re
from functools import cache
from math import factorial

import numpy as np

from attn_research.options import BadInput

LARGEST = 720


@cache
def table(name: str) -> np.ndarray:
    """product_NN of a group: row times column, element 0 is the identity.

    Zn is the integers modulo n, Sn and An the permutations of n things and the even
    ones among them, in lexicographic order; the product of p and q applies q first.
    AxB numbers the pair (a, b) as a * |B| + b. Raises `BadInput` for another name and
    for more than 720 elements.
    """
    factors = [re.fullmatch(r"([ZSA])([1-9]\d{0,2})", part) for part in name.split("x")]
    kinds = [(found[1], int(found[2])) for found in factors if found]
    if len(kinds) < len(factors):
        raise BadInput(
            f"The group is {name!r}; it must be Zn, Sn, An or a product of them such "
            "as A4xZ5"
        )
    order = 1
    for kind, n in kinds:
        order *= n if kind == "Z" else factorial(n) // (1 + (kind == "A" and n > 1))
        if order > LARGEST:
            raise BadInput(
                f"The group {name} is too large; it must be of at most "
                f"{LARGEST} elements"
            )
    product_NN = np.zeros((1, 1), np.int32)
    for kind, n in kinds:
        new_NN = _cyclic(n) if kind == "Z" else _permutations(n, even=kind == "A")
        size = len(new_NN)
        joined = product_NN[:, None, :, None] * size + new_NN[None, :, None, :]
        product_NN = joined.reshape(len(product_NN) * size, -1)
    return product_NN.astype(np.int32)


def _cyclic(n: int) -> np.ndarray:
    return np.add.outer(np.arange(n), np.arange(n)) % n


def _permutations(n: int, *, even: bool) -> np.ndarray:
    image_Nn = np.array(list(itertools.permutations(range(n))))
    if even:
        first, second = np.triu_indices(n, 1)
        swaps_N = np.sum(image_Nn[:, first] > image_Nn[:, second], axis=1)
        image_Nn = image_Nn[swaps_N % 2 == 0]
    composed_NNn = image_Nn[:, image_Nn]
    digits_n = n ** np.arange(n)[::-1]
    return np.searchsorted(image_Nn @ digits_n, composed_NNn @ digits_n)
