"""Decoding from the carries of a model: greedy, sampled, and by beam search.

    module = restored.model.bind(restored.params)
    tokens_BT = generate(module, prompts_BS, lengths_B, length=200, key=key,
                         sampling=Sampling(temperature=0.8, top_p=0.9))

Every row starts at position 0 and reads its own prompt token by token, then its chosen
tokens: prompts of different lengths need no padding on the left, and a row's tokens do
not depend on its neighbours. Memory is that of the carries: constant in length for
recurrent and linear mixers, a ring for windows, a cache for dense attention.
"""

from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from attn_research.options import BadInput

NEVER = -1  # a token outside every vocabulary


class Sampling(NamedTuple):
    """How the next token is sampled; temperature 0 takes the likeliest.

    `top_k` keeps the k likeliest tokens (Fan et al., 2018, arXiv:1805.04833; 0: all),
    `top_p` the smallest set of likeliest tokens with this probability (Holtzman et al.,
    2019, arXiv:1904.09751; 1: all).
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0


GREEDY = Sampling()


def sample(logits_BV: jax.Array, key: jax.Array, sampling: Sampling) -> jax.Array:
    """token_B, sampled from softmax(logits / temperature) cut to top_k and top_p."""
    if sampling.temperature == 0:
        return jnp.argmax(logits_BV, axis=-1).astype(jnp.int32)
    logits_BV = logits_BV / sampling.temperature
    if sampling.top_k:
        least_BK = jax.lax.top_k(logits_BV, min(sampling.top_k, logits_BV.shape[1]))[0]
        logits_BV = jnp.where(logits_BV >= least_BK[:, -1:], logits_BV, -jnp.inf)
    if sampling.top_p < 1:
        sorted_BV = -jnp.sort(-logits_BV, axis=-1)
        probability_BV = jax.nn.softmax(sorted_BV, axis=-1)
        before_BV = jnp.cumsum(probability_BV, axis=-1) - probability_BV
        kept_BV = jnp.where(before_BV < sampling.top_p, sorted_BV, jnp.inf)
        least_B1 = kept_BV.min(axis=-1, keepdims=True)
        logits_BV = jnp.where(logits_BV >= least_B1, logits_BV, -jnp.inf)
    return jax.random.categorical(key, logits_BV).astype(jnp.int32)


def generate(
    module: Any,
    prompts_BS: jax.Array,
    lengths_B: jax.Array,
    *,
    length: int,
    key: jax.Array | None = None,
    sampling: Sampling = GREEDY,
    end: int = NEVER,
    context: tuple[jax.Array, ...] = (),
    places: int | None = None,
    unrepeated: int = 0,
) -> jax.Array:
    """tokens_BT of `length` tokens, each row its prompt and the continuation.

    `lengths_B` (at least 1) is the length of each prompt in `prompts_BS`. After the
    token `end` a row repeats it. `context` has the further arguments of the module's
    `start`. `places` is the number of positions that the module is started with, by
    default `length`; one less is enough, as the last token is not read. With
    `unrepeated` above 0 no n-gram of this size is chosen that the row already has
    (Paulus et al., 2017, arXiv:1705.04304, with three). Raises `BadInput` if the
    arguments do not fit, and for prompts with a token that the module refuses.
    """
    _check(prompts_BS, length, sampling, key)
    if unrepeated < 0:
        raise BadInput(f"unrepeated is {unrepeated}; it must be at least 0")
    batch = prompts_BS.shape[0]
    given_BT = _widened(prompts_BS, length)
    keys_T = jax.random.split(jax.random.key(0) if key is None else key, length)

    def token(state: Any, inputs: Any) -> tuple[Any, jax.Array]:
        carry, token_B, ended_B, last_BT = state
        time, one_key = inputs
        logits_BV, carry = module.step(token_B, carry)
        if unrepeated:
            last_BT = last_BT.at[:, time].set(token_B)
            again_BV = _again(last_BT, time, unrepeated, logits_BV.shape[1])
            logits_BV = jnp.where(again_BV, jnp.finfo(logits_BV.dtype).min, logits_BV)
        chosen_B = sample(logits_BV, one_key, sampling)
        ended_B = ended_B | ((token_B == end) & (time >= lengths_B))
        chosen_B = jnp.where(ended_B, end, chosen_B)
        following_B = given_BT[:, time + 1].astype(jnp.int32)
        chosen_B = jnp.where(time + 1 < lengths_B, following_B, chosen_B)
        return (carry, chosen_B, ended_B, last_BT), chosen_B

    first_B = given_BT[:, 0].astype(jnp.int32)
    carry = module.start(batch, places or length, *context)
    _check_tokens(module, prompts_BS, lengths_B, carry)
    written_BT = jnp.zeros((batch, length if unrepeated else 0), jnp.int32)
    state = carry, first_B, jnp.zeros(batch, bool), written_BT
    times = jnp.arange(length - 1)
    _, tokens_TB = jax.lax.scan(token, state, (times, keys_T[: length - 1]))
    return jnp.concatenate([first_B[:, None], tokens_TB.T], axis=1)


def _again(tokens_BT: jax.Array, time: jax.Array, size: int, count: int) -> jax.Array:
    """again_BV: the tokens that would complete a repeated n-gram of `size` tokens."""
    length = tokens_BT.shape[1]
    place_1T = jnp.arange(length)[None]
    # The tokens that followed earlier occurrences of the last `size` - 1 tokens.
    same_BT = (place_1T >= size - 1) & (place_1T <= time)
    for back in range(1, size):
        shifted_BT = jnp.pad(tokens_BT, ((0, 0), (back, 0)))[:, :length]
        same_BT &= shifted_BT == tokens_BT[:, time - back + 1][:, None]
    row_B1 = jnp.arange(tokens_BT.shape[0])[:, None]
    none_BV = jnp.zeros((tokens_BT.shape[0], count), bool)
    return none_BV.at[row_B1, tokens_BT].max(same_BT)


class Beams(NamedTuple):
    """tokens_BKT of the K best sequences of each row, best first, and their scores.

    `score_BK` is the log probability of what follows the prompt over
    ((5 + its length) / 6)^penalty.
    """

    tokens_BKT: jax.Array
    score_BK: jax.Array


def beam_search(
    module: Any,
    prompts_BS: jax.Array,
    lengths_B: jax.Array,
    *,
    length: int,
    beams: int,
    end: int = NEVER,
    penalty: float = 0.0,
    context: tuple[jax.Array, ...] = (),
) -> Beams:
    """The likeliest sequences of `length` tokens, by a search with `beams` per row.

    Arguments as in `generate`; the penalty of Wu et al., 2016, arXiv:1609.08144, ranks
    the beams at the end. One beam is greedy decoding, one for every sequence an exact
    search.
    """
    _check(prompts_BS, length, GREEDY, None)
    if beams < 1:
        raise BadInput(f"beams is {beams}; it must be at least 1")
    batch, K = prompts_BS.shape[0], beams
    given_BT = _widened(prompts_BS, length)
    repeated = tuple(jnp.repeat(array, K, axis=0) for array in context)
    axes = _batch_axes(module, length, context)
    carry = module.start(batch * K, length, *repeated)
    _check_tokens(module, prompts_BS, lengths_B, carry, beams)
    tokens_BKT = jnp.broadcast_to(given_BT[:, None], (batch, K, length))
    # The beams of a row start equal: all but one score -inf until they diverge.
    score_BK = jnp.where(jnp.arange(K)[None] == 0, 0.0, -jnp.inf)
    score_BK = jnp.broadcast_to(score_BK, (batch, K))
    row_B1 = jnp.arange(batch)[:, None]

    def token(state: Any, time: jax.Array) -> tuple[Any, None]:
        carry, tokens_BKT, score_BK, ended_BK, extent_BK = state
        now_BK = tokens_BKT[:, :, time]
        logits_BV, carry = module.step(now_BK.reshape(-1), carry)
        V = logits_BV.shape[-1]
        log_BKV = jax.nn.log_softmax(logits_BV).reshape(batch, K, V)
        ended_BK = ended_BK | ((now_BK == end) & (time >= lengths_B)[:, None])
        # A finished beam continues with `end` only, at no cost.
        ending_V = jnp.where(jnp.arange(V) == end, 0.0, -jnp.inf)
        log_BKV = jnp.where(ended_BK[..., None], ending_V[None, None], log_BKV)
        total_BX = (score_BK[..., None] + log_BKV).reshape(batch, K * V)
        best_BK, flat_BK = jax.lax.top_k(total_BX, K)
        parent_BK, chosen_BK = flat_BK // V, (flat_BK % V).astype(jnp.int32)
        prompted_B1 = (time + 1 < lengths_B)[:, None]
        parent_BK = jnp.where(prompted_B1, jnp.arange(K)[None], parent_BK)
        following_B1 = given_BT[:, time + 1][:, None].astype(jnp.int32)
        chosen_BK = jnp.where(prompted_B1, following_B1, chosen_BK)
        score_BK = jnp.where(prompted_B1, score_BK, best_BK)
        flat_B = (row_B1 * K + parent_BK).reshape(-1)
        carry = jax.tree.map(
            lambda leaf, axis: leaf if axis is None else jnp.take(leaf, flat_B, axis),
            carry,
            axes,
        )
        tokens_BKT, ended_BK, extent_BK = (
            array[row_B1, parent_BK] for array in (tokens_BKT, ended_BK, extent_BK)
        )
        tokens_BKT = tokens_BKT.at[:, :, time + 1].set(chosen_BK)
        extent_BK = extent_BK + (~prompted_B1 & ~ended_BK).astype(jnp.int32)
        return (carry, tokens_BKT, score_BK, ended_BK, extent_BK), None

    nothing_BK = jnp.zeros((batch, K), jnp.int32)
    state = carry, tokens_BKT.astype(jnp.int32), score_BK, nothing_BK > 0, nothing_BK
    state, _ = jax.lax.scan(token, state, jnp.arange(length - 1))
    _, tokens_BKT, score_BK, _, extent_BK = state
    score_BK = score_BK / ((5 + extent_BK.astype(jnp.float32)) / 6) ** penalty
    order_BK = jnp.argsort(-score_BK, axis=1)
    return Beams(tokens_BKT[row_B1, order_BK], score_BK[row_B1, order_BK])


def _check(prompts_BS: Any, length: int, sampling: Sampling, key: Any) -> None:
    if length < prompts_BS.shape[1]:
        raise BadInput(
            f"length is {length}; it must be at least that of the prompts, "
            f"{prompts_BS.shape[1]}"
        )
    if sampling.temperature < 0 or sampling.top_k < 0 or not 0 < sampling.top_p <= 1:
        raise BadInput(
            f"sampling is {sampling}; temperature and top_k must be at least 0, top_p "
            "above 0 and at most 1"
        )
    if sampling.temperature and key is None:
        raise BadInput("key is None; at a temperature above 0 it must be a PRNG key")


def _check_tokens(
    module: Any, prompts_BS: Any, lengths_B: Any, carry: Any, beams: int = 1
) -> None:
    """Shows the module the least and the largest id of the prompts; computes nothing.

    Traced prompts have no values yet: then the module gives NaN for what it refuses.
    """
    if isinstance(prompts_BS, jax.core.Tracer) or isinstance(
        lengths_B, jax.core.Tracer
    ):
        return
    prompts_BS, lengths_B1 = np.asarray(prompts_BS), np.asarray(lengths_B)[:, None]
    read_BS = np.arange(prompts_BS.shape[1])[None] < np.maximum(lengths_B1, 1)
    for extreme in (np.min, np.max):
        token = extreme(prompts_BS[read_BS])
        tokens_B = np.full(prompts_BS.shape[0] * beams, token)
        jax.eval_shape(
            lambda held, tokens_B=tokens_B: module.step(tokens_B, held), carry
        )


def _widened(prompts_BS: jax.Array, length: int) -> jax.Array:
    return jnp.pad(prompts_BS, ((0, 0), (0, length - prompts_BS.shape[1])))


def _batch_axes(module: Any, length: int, context: tuple[jax.Array, ...]) -> Any:
    """The batch axis of each leaf of a carry, None if it has none."""

    def shapes(batch: int) -> Any:
        given = [
            jax.ShapeDtypeStruct((batch, *array.shape[1:]), array.dtype)
            for array in context
        ]
        return jax.eval_shape(lambda *c: module.start(batch, length, *c), *given)

    def axis(two: Any, three: Any) -> int | None:
        pairs = list(zip(two.shape, three.shape, strict=True))
        return next((i for i, (a, b) in enumerate(pairs) if a != b), None)

    return jax.tree.map(axis, shapes(2), shapes(3))
