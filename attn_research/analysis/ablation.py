"""The loss of a model without one of its parts: a layer, a mixer, or one head of it.

A head is what `mixing` calls one: a part of what an op that is linear in its values
has mixed; in a state space, a channel. Its output becomes zero, or its mean over the
positions of the batch, which removes what it says of the input and leaves what it
always says. A layer that is removed passes its input on.
"""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.analysis import mixing
from attn_research.analysis.layers import Named, check_index, open_model
from attn_research.analysis.sharing import shared
from attn_research.analysis.surgery import Part, replace_parts
from attn_research.checkpoint import Restored
from attn_research.losses import losses
from attn_research.options import BadInput
from attn_research.tasks.contract import Batch, Spec
from attn_research.training.predictions import predict

Fill = Literal["zero", "mean"]
WHOLE = -1
HEADS = 32  # of one mixer; a state space has a channel for each of hundreds


class Site(NamedTuple):
    """The part that is removed: a layer, a mixer by its place in it, or one head.

    Without a place it is the whole layer (`WHOLE`), without a head the whole mixer.
    """

    layer: int
    place: int = WHOLE
    head: int = WHOLE


NOWHERE = Site(-1)  # a layer that no model has: nothing is removed


class Ablation(NamedTuple):
    """The loss of each sequence without the part at a site, and the part's name."""

    site: Site
    name: str
    loss_B: np.ndarray


def ablate(
    restored: Restored,
    layer: int,
    place: int | None = None,
    head: int | None = None,
    fill: Fill = "zero",
) -> Restored:
    """The model without a layer, one mixer of it, or one head of that mixer.

    Raises `BadInput` for a part that the model does not have.
    """
    model = open_model(restored)
    check_index("layer", layer, len(model.layers), "the model")
    if place is None and head is not None:
        place = 0
    if place is not None:
        mixers = model.layers[layer]
        check_index("place", place, len(mixers), f"the mixers of layer {layer}")
        if head is not None:
            named = mixers[place]
            count = _heads(named, model.trunk, model.trunk.sizes.length)
            if not count:
                raise BadInput(
                    f"{named.name} has no heads that could be removed; what is removed "
                    "must be the mixer or its layer"
                )
            check_index("head", head, count, f"{named.name} of layer {layer}")
    site = Site(layer, *(WHOLE if x is None else x for x in (place, head)))
    return _ablated(restored, site, fill == "mean")


def sites(restored: Restored, length: int) -> list[tuple[Site, str]]:
    """Every layer, mixer and head, with a name; heads only if a mixer has few.

    `length` is that of the inputs.
    """
    model, named_sites = open_model(restored), []
    for layer, mixers in enumerate(model.layers):
        names = "+".join(named.name for named in mixers)
        named_sites.append((Site(layer), names))
        for place, named in enumerate(mixers):
            named_sites.append((Site(layer, place), named.name))
            count = _heads(named, model.trunk, length)
            if 1 < count <= HEADS:
                named_sites += [
                    (Site(layer, place, head), named.name) for head in range(count)
                ]
    return named_sites


def ablations(
    restored: Restored, spec: Spec, batches: Iterable[Batch], fill: Fill = "zero"
) -> list[Ablation]:
    """The whole model, then without each of its `sites`, on the same sequences.

    The memory is that of one batch, and a mean is over one. All sites share one
    compiled program.
    """

    parts: list[tuple[Site, str]] = []
    losses_of: list[list[np.ndarray]] = []
    for batch in batches:
        if not parts:
            parts = [(NOWHERE, "all"), *sites(restored, batch.inputs.shape[1])]
            losses_of = [[] for _ in parts]
        for (site, _), losses_B in zip(parts, losses_of, strict=True):
            loss_B = _loss_without(restored, spec, batch, site, fill == "mean")
            losses_B.append(np.asarray(loss_B))
    return [
        Ablation(site, name, np.concatenate(losses_B))
        for (site, name), losses_B in zip(parts, losses_of, strict=True)
    ]


# Zero or a mean is data too: one program serves both.
@shared(1)
def _loss_without(
    restored: Restored, spec: Spec, batch: Batch, site: Site, mean: jax.Array
) -> jax.Array:
    return sequence_losses(_ablated(restored, site, mean), spec, batch)


def sequence_losses(restored: Restored, spec: Spec, batch: Batch) -> jax.Array:
    """loss_B: the mean loss over the answers of each row, NaN for a row without any."""
    return sequence_scores(restored, spec, batch)[0]


def sequence_scores(
    restored: Restored, spec: Spec, batch: Batch
) -> tuple[jax.Array, list[jax.Array]]:
    """loss_B, and each of the `losses.SCORES` of the target, as `sequence_losses`."""
    outputs, asked, _ = predict(spec, restored.model, restored.params, batch, None)
    loss, scores = losses(
        outputs,
        asked.targets,
        spec.target,
        batch.segments,
        spec.longest,
        asked.weights,
    )
    rows = len(loss)
    weight_BL = asked.weights.reshape(rows, -1)
    count_B = jnp.sum(weight_BL, axis=1)

    def mean(value: jax.Array) -> jax.Array:
        total_B = jnp.sum(value.reshape(rows, -1) * weight_BL, axis=1)
        return jnp.where(count_B > 0, total_B / jnp.maximum(count_B, 1e-9), jnp.nan)

    return mean(loss), [mean(score) for score in scores]


def _heads(named: Named, trunk: Any, length: int) -> int:
    """The number of heads of a mixer, 0 without an op that is linear in its values."""
    places = trunk.positions(np.ones((1, length), np.int32)).shape[1]
    shape = 1, places, trunk.model.width
    x_1TD = jax.ShapeDtypeStruct(shape, jnp.dtype(trunk.model.dtype))
    return sum(mixed.shape[2] for mixed in mixing.mixed(named, x_1TD))


def _ablated(restored: Restored, site: Site, mean: Any) -> Restored:
    """The model without the part at a site; the site and `mean` may be traced."""

    def mixer(layer: int, place: int, named: Named) -> Part:
        here = (site.layer == layer) & (site.place == place)

        def mix(x_BTD: jax.Array, segments_BT: jax.Array | None = None) -> jax.Array:
            def clear(y_BT: jax.Array, hit: jax.Array) -> jax.Array:
                return jnp.where(hit, _filling(y_BT, segments_BT, mean), y_BT)

            first, cleared = 0, []
            parts, finish = mixing.halves(named, x_BTD, segments_BT)
            for mixed_BTH in parts:
                head_H = first + jnp.arange(mixed_BTH.shape[2])
                first += len(head_H)
                hit_H = here & (head_H == site.head)
                hit_H = hit_H.reshape(1, 1, -1, *[1] * (mixed_BTH.ndim - 3))
                cleared.append(clear(mixed_BTH, hit_H))
            whole = here & (site.head == WHOLE)
            return clear(finish(cleared), jnp.reshape(whole, (1, 1, 1)))

        return mix

    def layer(index: int, block: Part) -> Part:
        here = (site.layer == index) & (site.place == WHOLE)

        def run(x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
            y_BTD = block(x_BTD, segments_BT)
            passed_BTD = x_BTD + _filling(y_BTD - x_BTD, segments_BT, mean)
            return jnp.where(jnp.reshape(here, (1, 1, 1)), passed_BTD, y_BTD)

        return run

    return replace_parts(restored, mixer, layer)


def _filling(y_BT: jax.Array, segments_BT: jax.Array | None, mean: Any) -> jax.Array:
    """Zeros like y, or its mean over the real positions at each of them."""
    real_BT = jnp.ones(y_BT.shape[:2], bool) if segments_BT is None else segments_BT > 0
    real = jnp.expand_dims(real_BT, tuple(range(2, y_BT.ndim)))
    total = jnp.sum(y_BT, axis=(0, 1), keepdims=True, where=real)
    count = jnp.maximum(jnp.sum(real_BT), 1).astype(y_BT.dtype)
    filling = jnp.where(mean, total / count, jnp.zeros_like(total))
    return jnp.broadcast_to(filling, y_BT.shape)
