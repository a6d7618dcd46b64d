"""Linear attention: a sum over the past that fits into a state of fixed size.

    out_t = sum_{s <= t} (q_t * decay_{s+1} * ... * decay_t) . k_s v_s

q and k are already features (see features.py); a decay is a number or, per feature, a
vector. The normaliser is the same sum with the value 1, so every form takes a tuple of
values: v alone, or v and ones. Three forms of one function: `naive` builds the T x S
weights and is the twin of the others, `recurrent` carries the state one token
at a time, `chunked` is naive within a chunk and recurrent between chunks. Features that
are given as logarithms (see logarithmic.py) are normalised at any magnitude.

Katharopoulos et al., 2020, arXiv:2006.16236; decay and chunks: Sun et al., 2023,
arXiv:2307.08621.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from attn_research.ops import chunks
from attn_research.ops.implementations import check_implementation
from attn_research.ops.linear import logarithmic
from attn_research.ops.linear.chunked import Values, chunked
from attn_research.ops.linearity import linear_in
from attn_research.ops.precision import ratio, wide
from attn_research.ops.recurrence import begins

# The sum of each array of values: (B, H, M, E). Of logarithms, the sums in their units,
# (B, H, M, E + 1), and the logarithms of the units, (B, H, M).
State = tuple[jax.Array, ...]


@linear_in("v_BTHE")
def linear_attention(
    q_BTHM: jax.Array,
    k_BTHM: jax.Array,
    v_BTHE: jax.Array,
    *,
    causal: bool = True,
    log_decay: jax.Array | None = None,
    log_decay_after: jax.Array | None = None,
    normalize: bool = False,
    logarithms: bool = False,
    segments_BT: jax.Array | None = None,
    chunk: int = 64,
    implementation: Literal["naive", "recurrent", "chunked"] | None = None,
) -> jax.Array:
    """out_BTHE, in the dtype of v; sums are in float32 at least.

    `log_decay` (at most 0; None: no decay) is one rate per head (H,), one per token and
    head (B, T, H), or one per feature too (B, T, H, M): at token t all that came before
    decays by it. If not causal, all that comes after t decays by `log_decay_after`
    (None: the same). Queries and keys may have one head, which all share. `normalize`
    divides by the sum of the weights of all sources seen; where that is zero, so is the
    output. Products of features must then be numbers that the dtype holds (1e-38 in
    float32). With `logarithms` q and k are the logarithms of positive features, or -inf
    for zero, and weights may have any magnitude; `normalize` must be true.
    Positions see their own segment; the output at padding (segment 0) is exactly zero,
    and so are its gradients.
    `implementation` is "naive" (memory T x T, of logarithms T x T x M), "recurrent" or
    "chunked" (linear in T); None picks chunked. Raises ValueError for any other name,
    for a chunk below 1, for a decay of another shape, or for logarithms that are not
    normalised.
    """
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; it must be at least 1")
    if logarithms and not normalize:
        raise ValueError("logarithms is true; normalize must be true too")
    dtype = v_BTHE.dtype
    work = wide(dtype)
    q_BTHM, k_BTHM, v_BTHE = (x.astype(work) for x in (q_BTHM, k_BTHM, v_BTHE))
    q_BTHM, k_BTHM, v_BTHE = (
        chunks.real(x, segments_BT) for x in (q_BTHM, k_BTHM, v_BTHE)
    )
    shape = *v_BTHE.shape[:3], q_BTHM.shape[-1]
    before = _checked(log_decay, shape, work, segments_BT)
    after = before
    if log_decay_after is not None:
        after = _checked(log_decay_after, shape, work, segments_BT)
    check_implementation(implementation, "naive", "recurrent", "chunked")
    ahead = None if causal else after
    forms = LOGARITHMS if logarithms else PLAIN
    match implementation or "chunked":
        case "naive":
            form = forms.naive
        case "recurrent":
            form = functools.partial(_directions, forms.recurrent, forms.join)
        case _:
            by_chunks = functools.partial(forms.chunked, chunk=chunk)
            form = functools.partial(_directions, by_chunks, forms.join)
    values = _counted(v_BTHE) if logarithms else _values(v_BTHE, normalize)
    q_BTHM = _scaled(q_BTHM) if normalize and not logarithms else q_BTHM
    sums = form(q_BTHM, k_BTHM, values, before, ahead, segments_BT)
    return chunks.real(forms.out(sums), segments_BT).astype(dtype)


def linear_start(
    batch: int,
    heads: int,
    features: int,
    size: int,
    normalize: bool,
    dtype: Any,
    *,
    logarithms: bool = False,
) -> State:
    """The state before the first token: zeros (B, H, M, E), in float32 at least.

    Under `normalize` the sum of keys (B, H, M, 1) follows it. With `logarithms` it is a
    column of the sums instead, and the logarithms of their units follow.
    """
    work = wide(dtype)
    if logarithms:
        return tuple(logarithmic.start(batch, heads, features, size + 1, work))
    sizes = (size, 1) if normalize else (size,)
    shape = batch, heads, features
    return tuple(jnp.zeros((*shape, size), work) for size in sizes)


def linear_step(
    q_BHM: jax.Array,
    k_BHM: jax.Array,
    v_BHE: jax.Array,
    state: State,
    *,
    log_decay: jax.Array | None = None,
    logarithms: bool = False,
) -> tuple[jax.Array, State]:
    """(out_BHE, next state): one token of the causal sum, from `linear_start` on.

    `log_decay` is (H,), (B, H) or (B, H, M), as in `linear_attention`.
    """
    work = state[0].dtype
    decay_BHM = jnp.zeros((1, 1, 1), work)
    if log_decay is not None:
        decay = log_decay.astype(work)
        decay_BH = decay[None] if decay.ndim == 1 else decay
        decay_BHM = decay_BH[..., None] if decay_BH.ndim == 2 else decay_BH
    q_BHM, k_BHM, wide_BHE = (x.astype(work) for x in (q_BHM, k_BHM, v_BHE))
    if logarithms:
        inputs = q_BHM, k_BHM, _counted(wide_BHE), decay_BHM
        after, sums = logarithmic.token(logarithmic.Sums(*state), inputs, strict=False)
        return logarithmic.divided(sums).astype(v_BHE.dtype), tuple(after)
    normalize = len(state) == 2
    q_BHM = _scaled(q_BHM) if normalize else q_BHM
    inputs = q_BHM, k_BHM, _values(wide_BHE, normalize), jnp.exp(decay_BHM)
    state, sums = _token(state, inputs, strict=False)
    return _divided(sums).astype(v_BHE.dtype), state


def _checked(log_decay, shape, dtype, segments_BT):
    """The decay, (H,) zeros for None, and 0 at padding."""
    B, T, H, M = shape
    if log_decay is None:
        return jnp.zeros(H, dtype)
    if log_decay.shape not in ((H,), (B, T, H), (B, T, H, M)):
        raise ValueError(
            f"log_decay has the shape {log_decay.shape}; it must be {(H,)}, "
            f"{(B, T, H)} or {(B, T, H, M)}"
        )
    log_decay = log_decay.astype(dtype)
    return log_decay if log_decay.ndim == 1 else chunks.real(log_decay, segments_BT)


def _values(v: jax.Array, normalize: bool) -> Values:
    return (v, jnp.ones((*v.shape[:-1], 1), v.dtype)) if normalize else (v,)


def _counted(v: jax.Array) -> jax.Array:
    """v with a column of ones, whose sum is that of the weights."""
    return jnp.concatenate(_values(v, True), axis=-1)


def _scaled(q: jax.Array) -> jax.Array:
    """q over its largest feature, which cancels when weights are normalised."""
    top = jax.lax.stop_gradient(jnp.abs(q).max(axis=-1, keepdims=True))
    return q / jnp.where(top == 0, 1, top)


def _divided(sums: Values) -> jax.Array:
    """The sum of the values, over that of the weights if given; 0 over 0 is 0."""
    out, *weights = sums
    if not weights:
        return out
    return ratio(out, weights[0])


def _added(past: Values, future: Values) -> Values:
    return jax.tree.map(jnp.add, past, future)


def _naive(q_BTHM, k_BSHM, values, before, after, segments_BT):
    """The definition, all T x S weights at once; the twin of the other forms."""
    seen_TS = chunks.triangle(q_BTHM.shape[1])
    weight_BTSHM = jnp.where(
        seen_TS[None, :, :, None, None], jnp.exp(_fading(before, q_BTHM)), 0
    )
    if after is not None:
        turned = jnp.flip(after, axis=1) if after.ndim > 1 else after
        after_BTSHM = jnp.exp(jnp.flip(_fading(turned, q_BTHM), axis=(1, 2)))
        weight_BTSHM = jnp.where(
            seen_TS[None, :, :, None, None], weight_BTSHM, after_BTSHM
        )
    if weight_BTSHM.shape[-1] == 1:
        score_BTSH = jnp.einsum("BTHM,BSHM->BTSH", q_BTHM, k_BSHM)
        score_BTSH = score_BTSH * weight_BTSHM[..., 0]
    else:
        score_BTSH = jnp.einsum("BTHM,BSHM,BTSHM->BTSH", q_BTHM, k_BSHM, weight_BTSHM)
    if segments_BT is not None:
        same_BTS = segments_BT[:, :, None] == segments_BT[:, None, :]
        score_BTSH = jnp.where(same_BTS[..., None], score_BTSH, 0)
    return tuple(jnp.einsum("BTSH,BSHE->BTHE", score_BTSH, v) for v in values)


def _fading(log_decay, q_BTHM):
    """The sum of log decays over s < r <= t, or zero, as (B or 1, T, S, H, M or 1)."""
    T = q_BTHM.shape[1]
    if log_decay.ndim == 1:
        position_T = jnp.arange(T, dtype=log_decay.dtype)
        back_TS = jnp.maximum(position_T[:, None] - position_T[None, :], 0)
        return (back_TS[..., None] * log_decay[None, None])[None, ..., None]
    decay_BRHM = log_decay[..., None] if log_decay.ndim == 3 else log_decay
    later_RS = chunks.triangle(T, strict=True)[None, :, :, None, None]
    return jnp.cumsum(jnp.where(later_RS, decay_BRHM[:, :, None], 0), axis=1)


def _directions(form, join, q_BTHM, k_BTHM, values, before, after, segments_BT):
    """The sums over the past and, if `after` is given, over the future as well."""
    sums, _ = form(q_BTHM, k_BTHM, values, before, segments_BT, strict=False)
    if after is None:
        return sums
    flip = functools.partial(jnp.flip, axis=1)
    *flipped, turned_BT = jax.tree.map(flip, (q_BTHM, k_BTHM, values, segments_BT))
    turned = after if after.ndim == 1 else flip(after)
    # The token itself belongs to the past: the future is counted strictly.
    ahead, _ = form(*flipped, turned, turned_BT, strict=True)
    return join(sums, jax.tree.map(flip, ahead))


def _recurrent(q_BTHM, k_BTHM, values, log_decay, segments_BT, *, strict):
    """(sums, final state) by a scan over tokens."""
    B, T, H, _ = values[0].shape
    M = q_BTHM.shape[-1]
    decay_BTHM = jnp.exp(log_decay)
    if decay_BTHM.ndim == 1:
        decay_BTHM = jnp.broadcast_to(decay_BTHM[None, None], (B, T, H))
    if decay_BTHM.ndim == 3:
        decay_BTHM = decay_BTHM[..., None]
    if segments_BT is not None:
        fresh_BT = begins(segments_BT)
        decay_BTHM = jnp.where(fresh_BT[..., None, None], 0, decay_BTHM)
    state = tuple(jnp.zeros((B, H, M, v.shape[-1]), v.dtype) for v in values)
    inputs = jax.tree.map(
        lambda x: jnp.moveaxis(x, 1, 0), (q_BTHM, k_BTHM, values, decay_BTHM)
    )
    state, sums = jax.lax.scan(functools.partial(_token, strict=strict), state, inputs)
    return jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1), sums), state


def _token(state, inputs, *, strict):
    """(state, sums) after one more token."""
    q_BHM, k_BHM, values, decay_BHM = inputs
    faded = tuple(s * decay_BHM[..., None] for s in state)
    state = tuple(
        s + k_BHM[..., None] * v[..., None, :]
        for s, v in zip(faded, values, strict=True)
    )
    seen = faded if strict else state
    return state, tuple(jnp.einsum("BHM,BHME->BHE", q_BHM, s) for s in seen)


class Forms(NamedTuple):
    """The forms of a sum, how two directions join, and the output from the sums."""

    naive: Callable[..., Any]
    recurrent: Callable[..., Any]
    chunked: Callable[..., Any]
    join: Callable[[Any, Any], Any]
    out: Callable[[Any], jax.Array]


PLAIN = Forms(_naive, _recurrent, chunked, _added, _divided)
LOGARITHMS = Forms(
    functools.partial(logarithmic.naive, fading=_fading),
    logarithmic.recurrent,
    logarithmic.chunked,
    logarithmic.merged,
    logarithmic.divided,
)
