"""The numbers in which members of a population differ, and the optimizer they give.

`Hypers` are arrays, traced by the compiled program: members of one population share the
program and differ only in these numbers.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

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


def _adam(hypers: Hypers) -> optax.GradientTransformation:
    return optax.scale_by_adam()


def _check_optimizer(name: str, entry: Any) -> str | None:
    """What is wrong with an optimizer of a plugin."""
    if not callable(entry):
        return f"the optimizer {name!r} is {entry!r}; it must be a function of hypers"
    hypers = Hypers(0, np.float32(1e-3), np.float32(0.1))
    try:
        made = entry(hypers)
    except Exception as error:
        return f"the optimizer {name!r} ends in {error!r}; it must take hypers alone"
    if not isinstance(made, optax.GradientTransformation):
        return f"the optimizer {name!r} gives {made!r}; it must be a transform of optax"
    return None


# What takes the place of Adam's moments: hypers -> the transform of the gradients, in
# the direction of the gradient. Clipping, decay, rates and schedule are the same.
OPTIMIZERS: dict[str, Callable[[Hypers], optax.GradientTransformation]] = plugins.table(
    "OPTIMIZERS", {"adamw": _adam}, _check_optimizer
)


def optimizer(
    hypers: Hypers, train: Train, traits: Any = None
) -> optax.GradientTransformation:
    """AdamW (or a plugin's) with warm-up, schedule, clipping; decay on matrices only.

    `traits` (of `functional`) may give parameters their own rate; these are not decayed
    either, as is usual for the dynamics of state-space models (Gu et al., 2021,
    arXiv:2111.00396). A layer's share of the learning rate applies to its decay too; a
    frozen layer has neither, and no moments. Built inside the step from traced
    `hypers`; its state is per member (Loshchilov & Hutter, 2017, arXiv:1711.05101).
    """

    def trait_of(params: Any) -> Any:
        if traits is not None:
            return traits
        return jax.tree.map(lambda leaf: Trait(None, leaf.ndim >= 2), params)

    def decayed(params: Any) -> Any:
        return jax.tree.map(
            lambda _, trait: trait.matrix and trait.rate is None,
            params,
            trait_of(params),
        )

    def share(updates: Any, params: Any = None) -> Any:
        def scaled(leaf: Any, trait: Trait) -> Any:
            for part in (trait.rate, trait.share):
                leaf = leaf if part is None else leaf * part
            return leaf

        return jax.tree.map(scaled, updates, trait_of(params))

    def learns(params: Any) -> Any:
        return jax.tree.map(lambda _, trait: not trait.frozen, params, trait_of(params))

    adam = OPTIMIZERS[train.optimizer](hypers)
    if traits is not None and any(trait.frozen for trait in _each(traits)):
        adam = optax.masked(adam, learns)
    clip = optax.clip_by_global_norm(train.clip) if train.clip else optax.identity()
    return optax.chain(
        clip,
        adam,
        optax.add_decayed_weights(hypers.weight_decay, mask=decayed),
        optax.stateless(share),
        optax.scale_by_schedule(lambda step: -hypers.lr * schedule(step, train)),
    )
