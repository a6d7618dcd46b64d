"""The kinds of softmax attention: whom a token sees, and which op computes it."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

from attn_research.modules.heads import HeadOptions
from attn_research.ops.dense import attention
from attn_research.ops.masks import CAUSAL, FULL, Band, Mask, window
from attn_research.ops.patterns import Globals, Random, Stride
from attn_research.ops.selection import Best, Blocks, Rule, selected_attention
from attn_research.ops.sparse import sparse_attention
from attn_research.options import declared, option

Form = Callable[..., Any]  # q_BTHK, k_BTGK, v_BTGK, segments_BT, logits -> y_BTHK


@declared
class DenseOptions(HeadOptions):
    """Every token sees every other, or every earlier one.

    Quadratic in the length.
    """

    implementation: Literal["naive", "chunked", "library", "splash"] | None = option(
        None, "How attention is computed; none: the best that runs here."
    )


@declared
class WindowOptions(HeadOptions):
    """Token t sees s if t - s < w (causal) or |t - s| < w, for a window of w tokens.

    Linear in the length.
    """

    window: int = option(128, "Tokens w: t sees s if t - s < w.", low=1)
    implementation: Literal["naive", "chunked"] | None = option(
        None, "How attention is computed; none: the best that runs here."
    )


@declared
class SparseOptions(HeadOptions):
    """A token sees the union of a window, global tokens, strides and random links.

    If causal, without the future. Positions are those within the sequence. The cost is
    that of the chunks that the mask touches: strides shorter than a chunk touch all.
    Presets: `bigbird`, `longformer` (its global tokens have no projections of their
    own) and `sparse_transformer` (every head sees what its two kinds of heads see).
    """

    window: int = option(128, "Tokens w: t sees s if t - s < w dilation.", low=1)
    dilation: int = option(1, "Distance between neighbours within the window.", low=1)
    globals: int = option(0, "First tokens that see all and are seen by all.", low=0)
    stride: int = option(0, "Also see every multiple of this distance; 0: none.", low=0)
    random: int = option(
        0, "Random links of each block to earlier blocks, in both directions.", low=0
    )
    block: int = option(64, "Tokens per block.", low=1)
    seed: int = option(0, "Seed of the random links.", low=0)
    chunk: int = option(128, "Tokens computed at once; sets the speed only.", low=1)
    implementation: Literal["naive", "chunked"] | None = option(
        None, "How attention is computed; none: the best that runs here."
    )


@declared
class SelectionOptions(HeadOptions):
    """A token sees the keys, or the blocks of keys, that suit its query best.

    Quadratic in time, linear in memory. Presets: `topk` and `moba`.
    """

    select: Literal["keys", "blocks"] = option("keys", "What a query selects.")
    count: int = option(32, "How many keys, or blocks with the query's own.", low=1)
    block: int = option(64, "Tokens per block.", low=1)
    chunk: int = option(128, "Queries computed at once; sets the speed only.", low=1)
    implementation: Literal["naive", "chunked"] | None = option(
        None, "How attention is computed; none: the best that runs here."
    )


def everyone(options: HeadOptions, causal: bool) -> Band:
    """Every token, or every earlier one."""
    return CAUSAL if causal else FULL


def windowed(options: WindowOptions, causal: bool) -> Band:
    """The band of the window."""
    side = options.window - 1
    return window(side, 0 if causal else side)


def union(options: SparseOptions, causal: bool) -> Mask:
    """The union of what the options name."""
    o = options
    side = (o.window - 1) * o.dilation
    mask: Mask = window(side, 0 if causal else side)
    if o.dilation > 1:
        mask = mask & Stride(o.dilation)
    if o.globals:
        mask = mask | Globals(o.globals)
    if o.stride:
        mask = mask | Stride(o.stride)
    if o.random:
        mask = mask | Random(o.random, o.block, o.seed)
    return mask & CAUSAL if causal else mask


def selecting(options: SelectionOptions) -> Rule:
    """How a query selects."""
    o = options
    return Best(o.count) if o.select == "keys" else Blocks(o.count, o.block)


def dense_form(options: DenseOptions, mask: Mask) -> Form:
    """Attention to all that the mask admits."""
    return partial(attention, mask=mask, implementation=options.implementation)


def window_form(options: WindowOptions, mask: Mask) -> Form:
    """Attention in blocks that follow the window."""
    return partial(sparse_attention, mask=mask, implementation=options.implementation)


def sparse_form(options: SparseOptions, mask: Mask) -> Form:
    """Attention in the chunks that the mask touches."""
    how = options.implementation
    return partial(sparse_attention, mask=mask, chunk=options.chunk, implementation=how)


def selection_form(options: SelectionOptions, mask: Mask) -> Form:
    """Attention to what the rule selects among the tokens that the mask admits."""
    return partial(
        selected_attention,
        rule=selecting(options),
        causal=mask == CAUSAL,
        chunk=options.chunk,
        implementation=options.implementation,
    )


class Kind(NamedTuple):
    """A kind of attention, by functions of its options.

    mask: whom a token sees, given `causal`; form: the op that computes it, given the
    mask; ring: how many tokens decoding keeps (None: all); rule: how a query selects
    among the tokens that it sees (None: it takes all); forgets: whether forget gates
    may act, which a token has on others wherever it lies between them.
    """

    name: str
    mask: Callable[[Any, bool], Mask]
    form: Callable[[Any, Mask], Form]
    ring: Callable[[Any], int] | None = None
    rule: Callable[[Any], Rule] | None = None
    forgets: bool = False


KINDS: dict[type, Kind] = {
    DenseOptions: Kind("dense", everyone, dense_form, forgets=True),
    WindowOptions: Kind(
        "window", windowed, window_form, ring=lambda o: o.window, forgets=True
    ),
    SparseOptions: Kind("sparse", union, sparse_form),
    SelectionOptions: Kind("selection", everyone, selection_form, rule=selecting),
}


def kind_of(options: HeadOptions) -> Kind:
    """The kind that the options belong to, with or without a preset's defaults."""
    return next(KINDS[cls] for cls in type(options).__mro__ if cls in KINDS)
