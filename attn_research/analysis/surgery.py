"""A restored model with some of its parts changed, otherwise computed as ever.

What takes the place of a mixer or of a layer may hold tracers, so that one compiled
program serves every change that is data.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from attn_research.analysis.opened import Named, opened
from attn_research.checkpoint import Restored

# (x_BTD, segments_BT) -> y_BTD, as a mixer or a layer is called.
Part = Callable[..., jax.Array]


class Stack:
    """Layers one after another, in the place of the groups of a trunk."""

    def __init__(self, blocks: Sequence[Any], layer: Callable[[int, Part], Part]):
        self.blocks = blocks
        self.parts = [layer(index, block) for index, block in enumerate(blocks)]

    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None, *_: Any
    ) -> jax.Array:
        for part in self.parts:
            x_BTD = part(x_BTD, segments_BT)
        return x_BTD


def changed(
    restored: Restored,
    mixer: Callable[[int, int, Named], Part] = lambda layer, place, named: named.mixer,
    layer: Callable[[int, Part], Part] = lambda index, block: block,
) -> Restored:
    """The model with its mixers and layers as these functions give them.

    `mixer` is told the layer and the place of each, `layer` its index. The result runs
    without dropout and trains nothing.
    """

    def bind(params: Any) -> Any:
        # A module bound afresh is nobody else's, so that its parts may be exchanged.
        of = opened(restored._replace(params=params))
        blocks = list(of.trunk.blocks())
        for index, (block, stages) in enumerate(zip(blocks, of.stages, strict=True)):
            places = iter(range(sum(map(len, stages))))
            mixers = []
            for whole, stage in zip(block.mixers, stages, strict=True):
                parts = [mixer(index, next(places), named) for named in stage]
                if len(stage) > 1:  # side by side, under norms that stay
                    whole.mixers = tuple(parts)
                mixers.append(parts[0] if len(stage) == 1 else whole)
            block.mixers = tuple(mixers)
        of.trunk.groups = (Stack(blocks, layer),)
        return of.module

    def apply(params: Any, *args: Any, method: Any = None, **kwargs: Any) -> Any:
        module = bind(params)
        call = module if method is None else getattr(module, method)
        return call(*args, **kwargs)

    return restored._replace(model=restored.model._replace(bind=bind, apply=apply))
