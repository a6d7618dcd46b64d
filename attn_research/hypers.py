"""The numbers in which members of a population differ, and the optimizer they give.

`Hypers` are arrays, traced by the compiled program: members of one population share the
program and differ only in these numbers.
"""

import inspect
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib

from attn_research import plugins
from attn_research.config import Population, Train
from attn_research.pure import Trait


class Hypers(NamedTuple):
    """One member's numbers (scalars), or a population's (leading axis P)."""

    seed: Any
    lr: Any
    weight_decay: Any


def grid(population: Population) -> Hypers:
    """Every combination of a population's lists, seeds varying fastest."""
    points = itertools.product(population.weight_decay, population.lr, population.seed)
    decay_P, lr_P, seed_P = map(np.asarray, zip(*points, strict=True))
    return Hypers(
        seed_P.astype(np.int32), lr_P.astype(np.float32), decay_P.astype(np.float32)
    )


def member(hypers: Hypers, index: int) -> Hypers:
    """The numbers of one member of a population."""
    return Hypers(*(field[index] for field in hypers))


def schedule(step: jax.typing.ArrayLike, train: Train) -> jax.Array:
    """The learning rate at a step (from 0) over its peak: warm-up, then the schedule.

    constant stays; cosine falls to 0 at the last step (Loshchilov & Hutter, 2016,
    arXiv:1608.03983); wsd stays, then falls linearly over the last `decay` of the steps
    (Hu et al., 2024, arXiv:2404.06395).
    """
    step, warm = jnp.asarray(step, jnp.float32), round(train.warmup * train.steps)
    rising = (step + 1) / max(warm, 1)
    done = (step - warm) / max(train.steps - warm, 1)
    if train.schedule == "cosine":
        falling = 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(done, 0.0, 1.0)))
    elif train.schedule == "wsd":
        tail = max(train.decay * train.steps, 1.0)
        falling = jnp.clip((train.steps - step) / tail, 0.0, 1.0)
    else:
        falling = jnp.ones_like(done)
    return jnp.where(step < warm, rising, falling)


def learning(params: Any, traits: Any) -> Any:
    """The parameters, with gradients stopped at the frozen ones.

    Frozen parameters cost no gradient, and clipping sees only the others.
    """
    return jax.tree.map(
        lambda leaf, trait: jax.lax.stop_gradient(leaf) if trait.frozen else leaf,
        params,
        traits,
    )


def _each(traits: Any) -> list[Trait]:
    return jax.tree.leaves(traits, is_leaf=lambda node: isinstance(node, Trait))


def _trait_of(params: Any, traits: Any) -> Any:
    """The traits of parameters, by their axes if nothing was declared.

    What `optax.masked` took out of a tree stays out.
    """
    if traits is None:
        return jax.tree.map(lambda leaf: Trait(None, leaf.ndim >= 2), params)
    return jax.tree.map(
        lambda leaf, trait: leaf if _masked(leaf) else trait,
        params,
        traits,
        is_leaf=_masked,
    )


def _masked(leaf: Any) -> bool:
    return isinstance(leaf, optax.MaskedNode)


def _adam(hypers: Hypers) -> optax.GradientTransformation:
    """Adam's moments, b1 = 0.9, b2 = 0.999 (Kingma & Ba, 2014, arXiv:1412.6980)."""
    return optax.scale_by_adam()


def _lion(hypers: Hypers) -> optax.GradientTransformation:
    """The sign of two averages, 0.9 and 0.99 (Chen et al., 2023, arXiv:2302.06675)."""
    return optax.scale_by_lion()


def _sgd(hypers: Hypers) -> optax.GradientTransformation:
    """Heavy-ball momentum of 0.9 (Polyak, 1964, doi:10.1016/0041-5553(64)90137-5)."""
    return optax.trace(decay=0.9)


def _adafactor(hypers: Hypers) -> optax.GradientTransformation:
    """Factored second moments (Shazeer & Stern, 2018, arXiv:1804.04235).

    An update is clipped to a root mean square of 1 in each parameter; rates are not
    relative to the size of parameters. Matrices of less than 128 rows or columns keep
    the whole of their second moments.
    """
    return optax.chain(optax.scale_by_factored_rms(), optax.clip_by_block_rms(1.0))


def _muon(hypers: Hypers, traits: Any) -> optax.GradientTransformation:
    """Orthogonal updates of matrices, Adam's of the rest (Jordan et al., 2024, Muon).

    A matrix is what is declared with two axes or more inside of the trunk, without a
    rate of its own, and is no table; before the last two axes are stacked layers or
    heads. Updates have the root mean square 0.2, about that of Adam's, so that both
    share one rate and one decay (Liu et al., 2025, arXiv:2502.16982).
    """

    def labels(params: Any) -> Any:
        def label(path: Any, leaf: Any, trait: Any) -> Any:
            if _masked(leaf):
                return leaf
            inside = "head" not in {getattr(key, "key", None) for key in path[:1]}
            plain = trait.rows is None and trait.rate is None
            return "matrix" if trait.matrix and plain and inside else "other"

        return jax.tree_util.tree_map_with_path(
            label, params, _trait_of(params, traits), is_leaf=_masked
        )

    def axes(params: Any) -> Any:
        return jax.tree.map(
            lambda leaf: (
                leaf
                if _masked(leaf)
                else optax.contrib.MuonDimensionNumbers(leaf.ndim - 2, leaf.ndim - 1)
            ),
            params,
            is_leaf=_masked,
        )

    orthogonal = optax.chain(
        optax.contrib.muon(1.0, muon_weight_dimension_numbers=axes, consistent_rms=0.2),
        optax.scale(-1.0),
    )
    return optax.partition(
        {"matrix": orthogonal, "other": optax.scale_by_adam()}, labels
    )


def _check_optimizer(name: str, entry: Any) -> str | None:
    """What is wrong with an optimizer of a plugin."""
    if not callable(entry):
        return f"the optimizer {name!r} is {entry!r}; it must be a function of hypers"
    hypers = Hypers(0, np.float32(1e-3), np.float32(0.1))
    try:
        made = _made(entry, hypers, None)
    except Exception as error:
        return (
            f"the optimizer {name!r} ends in {error!r}; it must take hypers, "
            "or hypers and traits"
        )
    if not isinstance(made, optax.GradientTransformation):
        return f"the optimizer {name!r} gives {made!r}; it must be a transform of optax"
    return None


def _made(entry: Callable[..., Any], hypers: Hypers, traits: Any) -> Any:
    if "traits" in inspect.signature(entry).parameters:
        return entry(hypers, traits=traits)
    return entry(hypers)


# What takes the place of Adam's moments: hypers -> the transform of the gradients, in
# the direction of the gradient. Clipping, decay, rates and schedule are the same. One
# that treats matrices, tables or rates apart takes `traits` too: the tree of `Trait`s
# beside the parameters, or None.
OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = plugins.table(
    "OPTIMIZERS",
    {
        "adamw": _adam,
        "lion": _lion,
        "sgd": _sgd,
        "adafactor": _adafactor,
        "muon": _muon,
    },
    _check_optimizer,
)


def optimizer(
    hypers: Hypers, train: Train, traits: Any = None
) -> optax.GradientTransformation:
    """AdamW (or `train.optimizer`), warm-up, schedule, clipping, decay of matrices.

    `traits` (of `functional`) may give parameters their own rate; these are not decayed
    either, as is usual for the dynamics of state-space models (Gu et al., 2021,
    arXiv:2111.00396). A layer's share of the learning rate applies to its decay too; a
    frozen layer has neither, and no moments. Built inside the step from traced
    `hypers`; its state is per member (Loshchilov & Hutter, 2017, arXiv:1711.05101).
    """

    def decayed(params: Any) -> Any:
        return jax.tree.map(
            lambda _, trait: trait.matrix and trait.rate is None,
            params,
            _trait_of(params, traits),
        )

    def share(updates: Any, params: Any = None) -> Any:
        def scaled(leaf: Any, trait: Trait) -> Any:
            for part in (trait.rate, trait.share):
                leaf = leaf if part is None else leaf * part
            return leaf

        return jax.tree.map(scaled, updates, _trait_of(params, traits))

    def learns(params: Any) -> Any:
        return jax.tree.map(
            lambda _, trait: not trait.frozen, params, _trait_of(params, traits)
        )

    moments = _made(OPTIMIZERS[train.optimizer], hypers, traits)
    if traits is not None and any(trait.frozen for trait in _each(traits)):
        moments = optax.masked(moments, learns)
    clip = optax.clip_by_global_norm(train.clip) if train.clip else optax.identity()
    return optax.chain(
        clip,
        moments,
        optax.add_decayed_weights(hypers.weight_decay, mask=decayed),
        optax.stateless(share),
        optax.scale_by_schedule(lambda step: -hypers.lr * schedule(step, train)),
    )
