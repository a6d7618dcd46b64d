"""Images that a model draws, and those that it misreads, as a result keeps them.

{"shape": [height, width, channels], "bytes": base64}
"""

import base64
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.modules.generate import Sampling, generate

SHOWN = 16  # images of a sheet
FIRST = 256  # the token that asks for the first byte
ANY = Sampling(temperature=1.0)


def drawn(module: Any, rows: int, length: int, key: jax.Array) -> jax.Array:
    """byte_BT: images drawn byte after byte, as likely as the model says."""
    tokens_BT = generate(
        module,
        jnp.full((rows, 1), FIRST, jnp.int32),
        jnp.ones(rows, jnp.int32),
        length=length + 1,
        places=length,
        key=key,
        sampling=ANY,
    )
    # The head also has the token before the first byte, which is never an answer.
    return jnp.minimum(tokens_BT[:, 1:], FIRST - 1)


def pixels(values_BTF: jax.Array) -> jax.Array:
    """byte_BS: the bytes of images that were scaled to [-1, 1], in reading order."""
    bytes_BTF = jnp.rint((values_BTF + 1) * (255 / 2)).astype(jnp.int32)
    return bytes_BTF.reshape(bytes_BTF.shape[0], -1)


def packed(byte_BT: np.ndarray, shape: Sequence[int]) -> dict[str, Any]:
    """Images as JSON values."""
    content = base64.b64encode(byte_BT.astype(np.uint8).tobytes())
    return {"shape": list(shape), "bytes": content.decode()}


def unpacked(told: dict[str, Any]) -> np.ndarray:
    """image_NHWC: what was packed."""
    content = np.frombuffer(base64.b64decode(told["bytes"]), np.uint8)
    return content.reshape(-1, *told["shape"])


def misread(
    said_B: np.ndarray,
    true_B: np.ndarray,
    byte_BT: np.ndarray,
    shape: Sequence[int],
    names: Sequence[str],
) -> dict[str, Any]:
    """The first images whose class is another than was said, and both their names."""
    wrong = np.flatnonzero(said_B != true_B)
    kept = wrong[:SHOWN]
    pairs = zip(true_B[kept].tolist(), said_B[kept].tolist(), strict=True)
    told = [[names[true], names[said]] for true, said in pairs]
    return {"count": len(wrong), "names": told, **packed(byte_BT[kept], shape)}
