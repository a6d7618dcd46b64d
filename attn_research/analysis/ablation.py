"""What a model loses with a part of it: a layer, a mixer, or one head of a mixer.

A head is what `mixing` calls one: a part of what an op that is linear in its values
has mixed, of a state space a channel. Its output becomes zero, or its mean over the
positions of the batch, which takes what it says but leaves what it always says. A layer
that is taken out lets its input pass.
"""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.analysis import mixing
from attn_research.analysis.compiled import shared
from attn_research.analysis.opened import Named, opened, within
from attn_research.analysis.surgery import Part, changed
from attn_research.checkpoint import Restored
from attn_research.losses import losses
from attn_research.options import BadInput
from attn_research.program import predict
from attn_research.tasks.contract import Batch, Spec

Fill = Literal["zero", "mean"]
ALL = -1
HEADS = 32  # of one mixer; a state space has a channel for each of hundreds


class Site(NamedTuple):
    """A layer, the place of a mixer in it, and a head of that; `ALL` is each of them.

    Without a layer it is nowhere.
    """

    layer: int = ALL
    place: int = ALL
    head: int = ALL


class Ablation(NamedTuple):
    """The loss of each sequence without what is at a site, which has a name."""

    site: Site
    name: str
    loss_B: np.ndarray


def without(
    restored: Restored,
    layer: int,
    place: int | None = None,
    head: int | None = None,
    fill: Fill = "zero",
) -> Restored:
    """The model without a layer, a mixer of it, or a head of that.

    Raises `BadInput` for what there is not.
    """
    of = opened(restored)
    within("layer", layer, len(of.layers), "the model")
    if place is None and head is not None:
        place = 0
    if place is not None:
        within("place", place, len(of.layers[layer]), f"the mixers of layer {layer}")
        if head is not None:
            named = of.layers[layer][place]
            count = _heads(named, of.trunk, of.trunk.sizes.length)
            if not count:
                raise BadInput(
                    f"{named.name} has no heads to take out; the mixer or its layer is "
                    "allowed"
                )
            within("head", head, count, f"{named.name} of layer {layer}")
    site = Site(layer, *(ALL if x is None else x for x in (place, head)))
    return _ablated(restored, site, fill == "mean")


def sites(restored: Restored, length: int) -> list[tuple[Site, str]]:
    """Every layer, mixer and head, with a name; of a mixer of many heads none of them.

    `length` is that of the inputs.
    """
    of, found = opened(restored), []
    for layer, mixers in enumerate(of.layers):
        found.append((Site(layer), "+".join(named.name for named in mixers)))
        for place, named in enumerate(mixers):
            found.append((Site(layer, place), named.name))
            count = _heads(named, of.trunk, length)
            if 1 < count <= HEADS:
                found += [(Site(layer, place, h), named.name) for h in range(count)]
    return found


def ablations(
    restored: Restored, spec: Spec, batches: Iterable[Batch], fill: Fill = "zero"
) -> list[Ablation]:
    """The whole model, then without each of its `sites`, on the same sequences.

    A mean over batches takes the memory of one. One program is compiled for them all.
    """

    parts: list[tuple[Site, str]] = []
    found: list[list[np.ndarray]] = []
    for batch in batches:
        if not parts:
            parts = [(Site(), "all"), *sites(restored, batch.inputs.shape[1])]
            found = [[] for _ in parts]
        for (site, _), losses_B in zip(parts, found, strict=True):
            loss_B = _loss_without(restored, spec, batch, site, fill == "mean")
            losses_B.append(np.asarray(loss_B))
    return [
        Ablation(site, name, np.concatenate(losses_B))
        for (site, name), losses_B in zip(parts, found, strict=True)
    ]


# Zero or a mean is data too: one program serves both.
@shared(1)
def _loss_without(
    restored: Restored, spec: Spec, batch: Batch, site: Site, mean: jax.Array
) -> jax.Array:
    return sequence_losses(_ablated(restored, site, mean), spec, batch)


def sequence_losses(restored: Restored, spec: Spec, batch: Batch) -> jax.Array:
    """loss_B: the mean loss over the answers of each row, NaN where it has none."""
    return sequence_scores(restored, spec, batch)[0]


def sequence_scores(
    restored: Restored, spec: Spec, batch: Batch
) -> tuple[jax.Array, list[jax.Array]]:
    """loss_B, and each of the `losses.SCORES` of the target, as `sequence_losses`."""
    outputs, asked, _ = predict(spec, restored.model, restored.params, batch, None)
    loss, scores = losses(
        outputs, asked.targets, spec.target, batch.segments, spec.longest
    )
    rows = len(loss)
    weight_BL = asked.weights.reshape(rows, -1)
    count_B = jnp.sum(weight_BL, axis=1)

    def mean(value: jax.Array) -> jax.Array:
        total_B = jnp.sum(value.reshape(rows, -1) * weight_BL, axis=1)
        return jnp.where(count_B > 0, total_B / jnp.maximum(count_B, 1e-9), jnp.nan)

    return mean(loss), [mean(score) for score in scores]


def _heads(named: Named, trunk: Any, length: int) -> int:
    """The number of heads of a mixer, 0 where it has no op that is linear in values."""
    if named.name in mixing.JACOBIAN_ONLY:
        return 0
    places = trunk.positions(np.ones((1, length), np.int32)).shape[1]
    shape = 1, places, trunk.model.width
    x_1TD = jax.ShapeDtypeStruct(shape, jnp.dtype(trunk.model.dtype))
    return sum(one.shape[2] for one in mixing.mixed(named, x_1TD))


def _ablated(restored: Restored, site: Site, mean: Any) -> Restored:
    """The model without what is at a site; that and the filling may be traced."""

    def mixer(layer: int, place: int, named: Named) -> Part:
        here = (site.layer == layer) & (site.place == place)

        def mix(x_BTD: jax.Array, segments_BT: jax.Array | None = None) -> jax.Array:
            def clear(y_BT: jax.Array, hit: jax.Array) -> jax.Array:
                return jnp.where(hit, _filling(y_BT, segments_BT, mean), y_BT)

            y_BTD = named.mixer(x_BTD, segments_BT)
            if named.name not in mixing.JACOBIAN_ONLY:
                first, kept = 0, []
                parts, finish = mixing.halves(named, x_BTD, segments_BT)
                for mixed_BTH in parts:
                    head_H = first + jnp.arange(mixed_BTH.shape[2])
                    first += len(head_H)
                    hit_H = here & (head_H == site.head)
                    hit_H = hit_H.reshape(1, 1, -1, *[1] * (mixed_BTH.ndim - 3))
                    kept.append(clear(mixed_BTH, hit_H))
                y_BTD = finish(kept)
            whole = here & (site.head == ALL)
            return clear(y_BTD, jnp.reshape(whole, (1, 1, 1)))

        return mix

    def layer(index: int, block: Part) -> Part:
        here = (site.layer == index) & (site.place == ALL)

        def run(x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
            y_BTD = block(x_BTD, segments_BT)
            passed_BTD = x_BTD + _filling(y_BTD - x_BTD, segments_BT, mean)
            return jnp.where(jnp.reshape(here, (1, 1, 1)), passed_BTD, y_BTD)

        return run

    return changed(restored, mixer, layer)


def _filling(y_BT: jax.Array, segments_BT: jax.Array | None, mean: Any) -> jax.Array:
    """Zeros like y, or its mean over the real positions at each of them."""
    real_BT = jnp.ones(y_BT.shape[:2], bool) if segments_BT is None else segments_BT > 0
    real = jnp.expand_dims(real_BT, tuple(range(2, y_BT.ndim)))
    total = jnp.sum(y_BT, axis=(0, 1), keepdims=True, where=real)
    count = jnp.maximum(jnp.sum(real_BT), 1).astype(y_BT.dtype)
    filling = jnp.where(mean, total / count, jnp.zeros_like(total))
    return jnp.broadcast_to(filling, y_BT.shape)
