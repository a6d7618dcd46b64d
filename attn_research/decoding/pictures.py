"""Images that a model generates or misclassifies, in the form of a result.

{"shape": [height, width, channels], "bytes": base64}
"""

import base64
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.decoding.generate import Sampling, generate

SHOWN = 16  # images per sheet
FIRST = 256  # the token before the first byte
ANY = Sampling(temperature=1.0)


def sampled(module: Any, rows: int, length: int, key: jax.Array) -> jax.Array:
    """byte_BT: images sampled from the model, byte by byte."""
    tokens_BT = generate(
        module,
        jnp.full((rows, 1), FIRST, jnp.int32),
        jnp.ones(rows, jnp.int32),
        length=length + 1,
        places=length,
        key=key,
        sampling=ANY,
    )
    # The head also has a logit for FIRST, which is never an answer.
    return jnp.minimum(tokens_BT[:, 1:], FIRST - 1)


def pixels(values_BTF: jax.Array) -> jax.Array:
    """byte_BS: the bytes, in reading order, of images scaled to [-1, 1]."""
    bytes_BTF = jnp.rint((values_BTF + 1) * (255 / 2)).astype(jnp.int32)
    return bytes_BTF.reshape(bytes_BTF.shape[0], -1)


def packed(byte_BT: np.ndarray, shape: Sequence[int]) -> dict[str, Any]:
    """Images as JSON values."""
    content = base64.b64encode(byte_BT.astype(np.uint8).tobytes())
    return {"shape": list(shape), "bytes": content.decode()}


def unpacked(images: dict[str, Any]) -> np.ndarray:
    """image_NHWC: the images of JSON values."""
    content = np.frombuffer(base64.b64decode(images["bytes"]), np.uint8)
    return content.reshape(-1, *images["shape"])


def misread(
    said_B: np.ndarray,
    true_B: np.ndarray,
    byte_BT: np.ndarray,
    shape: Sequence[int],
    names: Sequence[str],
) -> dict[str, Any]:
    """The first misclassified images, each with the names of "
    "its true and said class."""
    wrong = np.flatnonzero(said_B != true_B)
    first = wrong[:SHOWN]
    pairs = zip(true_B[first].tolist(), said_B[first].tolist(), strict=True)
    both = [[names[true], names[said]] for true, said in pairs]
    return {"count": len(wrong), "names": both, **packed(byte_BT[first], shape)}
