"""A restored model with some of its parts replaced.

A replacement for a mixer or a layer may hold tracers, so that one compiled program
serves every change that is data.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from attn_research.analysis.layers import Named, open_model
from attn_research.checkpoint import Restored

# (x_BTD, segments_BT) -> y_BTD, as a mixer or a layer is called.
Part = Callable[..., jax.Array]


class Stack:
    """Layers one after another, in place of the groups of a trunk."""

    def __init__(self, blocks: Sequence[Any], layer: Callable[[int, Part], Part]):
        self.blocks = blocks
        self.parts = [layer(index, block) for index, block in enumerate(blocks)]

    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None, *_: Any
    ) -> jax.Array:
        for part in self.parts:
            x_BTD = part(x_BTD, segments_BT)
        return x_BTD


def replace_parts(
    restored: Restored,
    mixer: Callable[[int, int, Named], Part] = lambda layer, place, named: named.mixer,
    layer: Callable[[int, Part], Part] = lambda index, block: block,
) -> Restored:
    """The model with its mixers and layers replaced by what these functions return.

    `mixer` gets the layer and the place of each mixer, `layer` the index of each block.
    The result runs without dropout and cannot be trained.
    """

    def bind(params: Any) -> Any:
        # A freshly bound module is not shared, so its parts may be replaced.
        model = open_model(restored._replace(params=params))
        blocks = list(model.trunk.blocks())
        for index, (block, stages) in enumerate(zip(blocks, model.stages, strict=True)):
            places = iter(range(sum(map(len, stages))))
            mixers = []
            for whole, stage in zip(block.mixers, stages, strict=True):
                parts = [mixer(index, next(places), named) for named in stage]
                if len(stage) > 1:  # parallel, under norms that stay
                    whole.mixers = tuple(parts)
                mixers.append(parts[0] if len(stage) == 1 else whole)
            block.mixers = tuple(mixers)
        model.trunk.groups = (Stack(blocks, layer),)
        return model.module

    def apply(params: Any, *args: Any, method: Any = None, **kwargs: Any) -> Any:
        module = bind(params)
        call = module if method is None else getattr(module, method)
        return call(*args, **kwargs)

    return restored._replace(model=restored.model._replace(bind=bind, apply=apply))
