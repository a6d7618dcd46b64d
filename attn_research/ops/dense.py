"""Softmax attention over grouped key/value heads: naive, memory-linear, library.

out_BTHE = softmax(q_BTHK . k_BSGK / sqrt(K)) v_BSGE over the keys that the mask and the
segments admit; the query heads h of group h // (H / G) share a key head. The output of
a query that sees no key is exactly zero, and so are its gradients. The softmax is
computed in float32 at least. Vaswani et al., 2017, arXiv:1706.03762; grouped heads:
Ainslie et al., 2023, arXiv:2305.13245.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from attn_research.ops import flash, precision
from attn_research.ops.forgetting import between, check_gates
from attn_research.ops.implementations import check_implementation
from attn_research.ops.kernels import splash
from attn_research.ops.linearity import linear_in
from attn_research.ops.logits import PLAIN, Logits, capped, spread
from attn_research.ops.masks import CAUSAL, FULL, Band, Mask, matrix, together
from attn_research.ops.platform import accelerated, cudnn, platform
from attn_research.ops.positions import restart

Implementation = Literal["naive", "chunked", "library", "splash"]


@linear_in("v_BSGE")
def attention(
    q_BTHK: jax.Array,
    k_BSGK: jax.Array,
    v_BSGE: jax.Array,
    *,
    mask: Mask = FULL,
    segments_BT: jax.Array | None = None,
    source_BS: jax.Array | None = None,
    logits: Logits = PLAIN,
    implementation: Implementation | None = None,
) -> jax.Array:
    """out_BTHE, in the dtype of the values.

    `source_BS` are the segments of the keys, by default those of the queries. Memory is
    linear in T for "chunked", T * S for "naive"; "library" is
    `jax.nn.dot_product_attention`, "splash" the kernel of JAX for TPUs. Raises
    ValueError if the shapes do not fit or the chosen implementation cannot run.
    """
    check_implementation(implementation, "naive", "chunked", "library", "splash")
    check_shapes(q_BTHK, k_BSGK, v_BSGE)
    if segments_BT is not None and source_BS is None:
        source_BS = segments_BT
    if source_BS is not None and segments_BT is None:
        segments_BT = jnp.ones(q_BTHK.shape[:2], jnp.int32)
    check_mask(q_BTHK, k_BSGK, mask, segments_BT, source_BS)
    check_gates(q_BTHK, k_BSGK, mask, logits.log_forget_BTH)
    plain = all(part is None for part in logits)
    lack = splash.lacks(mask, logits, q_BTHK.dtype)
    if source_BS is not segments_BT or k_BSGK.shape[1] != q_BTHK.shape[1]:
        lack = "keys of another sequence"
    if k_BSGK.shape[-1] != v_BSGE.shape[-1]:
        lack = "values of another size than the keys"
    if implementation is None and lack is None and splash.runs():
        implementation = "splash"
    if implementation is None:
        implementation = choose(q_BTHK, k_BSGK, v_BSGE, mask, source_BS, plain)
    arrays = q_BTHK, k_BSGK, v_BSGE
    seen = {"mask": mask, "segments_BT": segments_BT, "source_BS": source_BS}
    if implementation == "naive":
        return naive(*arrays, **seen, logits=logits)
    if implementation == "chunked":
        return flash.flash_attention(*arrays, **seen, logits=logits)
    if implementation == "library":
        if not plain:
            raise ValueError(
                "Attention by the library has no cap, bias or sinks, nor forget gates; "
                "the implementation must be naive or chunked"
            )
        return library(*arrays, **seen)
    if lack or not splash.runs():
        here = f"runs on a TPU; this is a {platform()}"
        raise ValueError(f"splash {'lacks ' + lack if lack else here}")
    return splash.splash_attention(
        *arrays, mask=mask, segments_BT=segments_BT, cap=logits.cap
    )


def check_shapes(q_BTHK: Any, k_BSGK: Any, v_BSGE: Any) -> None:
    """Raises ValueError if queries, keys and values do not fit together."""
    (b, _, h, k), (bk, s, g, kk) = q_BTHK.shape, k_BSGK.shape
    if (b, k) != (bk, kk) or v_BSGE.shape[:3] != (b, s, g) or h % g:
        raise ValueError(
            f"Attention got q {q_BTHK.shape}, k {k_BSGK.shape}, v {v_BSGE.shape}; "
            "they must be BTHK, BSGK and BSGE, with H a multiple of G"
        )


def check_mask(
    q_BTHK: Any, k_BSGK: Any, mask: Any, segments_BT: Any, source_BS: Any
) -> None:
    """Raises ValueError if it is not a mask, or if segments do not match the tokens."""
    if not callable(getattr(mask, "admit", None)):
        raise ValueError(
            f"The mask is {type(mask).__name__}; it must be one of ops.masks or "
            "ops.patterns, such as CAUSAL or window(255, 0)"
        )
    for ids, of in ((segments_BT, q_BTHK), (source_BS, k_BSGK)):
        if ids is not None and ids.shape != of.shape[:2]:
            raise ValueError(
                f"Segments are {ids.shape}; they must be {of.shape[:2]}, one for each "
                "token"
            )


def choose(
    q_BTHK: Any, k_BSGK: Any, v_BSGE: Any, mask: Mask, source_BS: Any, plain: bool
) -> Implementation:
    """The best implementation for these arrays on the platform.

    On a CPU blocks win at every length: 1.3 times at 64 tokens, 14 times at 1,024. An
    accelerator is kept busy by the whole score matrix, as long as it fits.
    """
    same_size = q_BTHK.shape[-1] == v_BSGE.shape[-1]
    if plain and source_BS is None and same_size and fused(q_BTHK, mask):
        return "library"
    if not accelerated():
        return "chunked" if q_BTHK.shape[1] > 1 else "naive"
    keys = k_BSGK.shape[1]
    few = math.prod(q_BTHK.shape[:3]) * keys <= flash.SCORES
    return "naive" if few and not flash.narrow(mask, keys) else "chunked"


def fused(q_BTHK: Any, mask: Mask) -> bool:
    """Whether cuDNN's fused attention runs there and takes such queries and masks.

    It knows bands that end at the query, or none.
    """
    size = q_BTHK.shape[-1]
    return (
        cudnn()
        and (mask == FULL or (isinstance(mask, Band) and mask.right == 0))
        and q_BTHK.dtype in (jnp.bfloat16, jnp.float16)
        and size <= 128
        and size % 8 == 0
    )


def naive(
    q_BTHK: jax.Array,
    k_BSGK: jax.Array,
    v_BSGE: jax.Array,
    *,
    mask: Mask,
    segments_BT: jax.Array | None = None,
    source_BS: jax.Array | None = None,
    logits: Logits = PLAIN,
) -> jax.Array:
    """The definition, as written; float64 stays float64: the oracle of the others."""
    T, S = q_BTHK.shape[1], k_BSGK.shape[1]
    admit_BTS = admitted(T, S, mask=mask, segments_BT=segments_BT, source_BS=source_BS)
    bias_BHTS = None if logits.bias_HD is None else spread(logits.bias_HD, T)[None]
    if logits.log_forget_BTH is not None:
        fade_BHTS = between(logits.log_forget_BTH)
        bias_BHTS = fade_BHTS if bias_BHTS is None else bias_BHTS + fade_BHTS
    return weigh(
        q_BTHK,
        k_BSGK,
        v_BSGE,
        admit_BTS,
        cap=logits.cap,
        bias_BHTS=bias_BHTS,
        sink_H=logits.sink_H,
    )


def weigh(
    q_BTHK: jax.Array,
    k_BSGK: jax.Array,
    v_BSGE: jax.Array,
    admit_BTS: jax.Array,
    *,
    cap: float | None = None,
    bias_BHTS: jax.Array | None = None,
    sink_H: jax.Array | None = None,
    keep: Callable[[jax.Array], jax.Array] | None = None,
) -> jax.Array:
    """out_BTHE of queries that see the keys in `admit_BTS`; B of the bias may be 1.

    `keep` selects among these: from score_BHTS, -inf at other keys, it makes the
    boolean keep_BHTS.
    """
    B, T, H, K = q_BTHK.shape
    S, G = k_BSGK.shape[1:3]
    wide = precision.wide(q_BTHK.dtype)
    # The heads of a group on an axis R of their own: H = G * R.
    q_BTGRK = q_BTHK.reshape(B, T, G, H // G, K)
    score_BGRTS = jnp.einsum(
        "BTGRK,BSGK->BGRTS", q_BTGRK, k_BSGK, preferred_element_type=wide
    ) * (1 / math.sqrt(K))
    score_BGRTS = capped(score_BGRTS, cap)
    if bias_BHTS is not None:
        bias_BGRTS = bias_BHTS.reshape(-1, G, H // G, T, S)
        score_BGRTS = score_BGRTS + bias_BGRTS.astype(wide)
    admit_BGRTS = admit_BTS[:, None, None]
    # The maximum of an empty row is -inf; 0 in its place keeps all finite.
    score_BGRTS = jnp.where(admit_BGRTS, score_BGRTS, -jnp.inf)
    if keep is not None:
        keep_BHTS = keep(score_BGRTS.reshape(B, H, T, S))
        keep_BGRTS = keep_BHTS.reshape(score_BGRTS.shape)
        score_BGRTS = jnp.where(keep_BGRTS, score_BGRTS, -jnp.inf)
    top_BGRT1 = jax.lax.stop_gradient(score_BGRTS.max(axis=-1, keepdims=True))
    sink_BGRT1 = None
    if sink_H is not None:
        sink_BGRT1 = sink_H.astype(wide).reshape(1, G, H // G, 1, 1)
        top_BGRT1 = jax.lax.stop_gradient(jnp.maximum(top_BGRT1, sink_BGRT1))
    power_BGRTS = jnp.exp(
        score_BGRTS - jnp.where(jnp.isneginf(top_BGRT1), 0, top_BGRT1)
    )
    total_BGRT1 = power_BGRTS.sum(axis=-1, keepdims=True)
    if sink_BGRT1 is not None:
        total_BGRT1 = total_BGRT1 + jnp.exp(sink_BGRT1 - top_BGRT1)
    weight_BGRTS = power_BGRTS / jnp.where(total_BGRT1 == 0, 1, total_BGRT1)
    out_BTGRE = jnp.einsum(
        "BGRTS,BSGE->BTGRE",
        weight_BGRTS.astype(v_BSGE.dtype),
        v_BSGE,
        preferred_element_type=wide,
    )
    return out_BTGRE.reshape(B, T, H, -1).astype(v_BSGE.dtype)


def library(
    q_BTHK: jax.Array,
    k_BSGK: jax.Array,
    v_BSGE: jax.Array,
    *,
    mask: Mask,
    segments_BT: jax.Array | None = None,
    source_BS: jax.Array | None = None,
) -> jax.Array:
    """`jax.nn.dot_product_attention`, through cuDNN if it runs.

    Rows that see nothing are zeroed here: the library returns the mean of all values.
    """
    if q_BTHK.dtype == jnp.float64 or k_BSGK.shape[-1] != v_BSGE.shape[-1]:
        raise ValueError(
            f"Attention by the library got k {k_BSGK.shape}, v {v_BSGE.shape} "
            f"{q_BTHK.dtype}; values must have the head size of the keys, and not be "
            "float64"
        )
    arrays = q_BTHK, k_BSGK, v_BSGE
    if source_BS is None and isinstance(mask, Band) and fused(q_BTHK, mask):
        return jax.nn.dot_product_attention(
            *arrays,
            is_causal=mask.right == 0,
            local_window_size=None if mask.left is None else (mask.left, 0),
            implementation="cudnn",
        )
    T, S = q_BTHK.shape[1], k_BSGK.shape[1]
    if source_BS is None and mask in (FULL, CAUSAL):
        return jax.nn.dot_product_attention(*arrays, is_causal=mask == CAUSAL)
    admit_BTS = admitted(T, S, mask=mask, segments_BT=segments_BT, source_BS=source_BS)
    out_BTHE = jax.nn.dot_product_attention(*arrays, mask=admit_BTS[:, None])
    return jnp.where(admit_BTS.any(axis=-1)[..., None, None], out_BTHE, 0)


def admitted(
    queries: int, keys: int, *, mask: Mask, segments_BT: Any, source_BS: Any
) -> jax.Array:
    """The mask and the segments together, as BTS (B is 1 without segments).

    A band depends on the distance only, any other mask on positions within the segment.
    """
    if segments_BT is None:
        return matrix(mask, queries, keys)[None]
    same_BTS = together(segments_BT, source_BS)
    if isinstance(mask, Band):
        return matrix(mask, queries, keys)[None] & same_BTS
    query_BT, key_BS = restart(segments_BT), restart(source_BS)
    return mask.admit(query_BT[:, :, None], key_BS[:, None]) & same_BTS
