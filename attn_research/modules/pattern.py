"""Patterns: the mixers of every layer as text, `"conv,diagonal+window,dense|mamba"`.

Commas separate layers, from the first up; the pattern repeats over the depth. Within a
layer `+` puts mixers one after another, each on a residual branch of its own before the
MLP, and `|` in parallel, averaged into one output. `|` binds tighter. Every mixer is a
spec, `name(option=value,...)`.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flax import nnx

from attn_research.modules import MIXERS
from attn_research.modules.contract import Mixer
from attn_research.modules.hybrid import Parallel
from attn_research.options import build as build_options
from attn_research.options import unknown
from attn_research.options.specs import parse, spell, split

Choice = tuple[str, Any]  # a name of MIXERS and its options
Stage = tuple[Choice, ...]  # side by side
Layer = tuple[Stage, ...]  # one after another


def layers(pattern: str) -> list[Layer]:
    """The layers of a pattern; raises `BadInput`."""
    return [
        tuple(
            tuple(_choice(spec) for spec in split(stage, "|"))
            for stage in split(layer, "+")
        )
        for layer in split(pattern)
    ]


def choices(pattern: str) -> Iterator[Choice]:
    """Every mixer of a pattern, from the first layer up."""
    for layer in layers(pattern):
        for stage in layer:
            yield from stage


def resolve(pattern: str) -> str:
    """The pattern with every option written out."""
    return _written(pattern, lambda options: options)


def brief(pattern: str) -> str:
    """The pattern with only the options that differ from their defaults."""
    return _written(pattern, _given)


def edit(pattern: str, mixer: str, options: Mapping[str, str]) -> str:
    """The pattern with options of every mixer of that name changed."""
    names = {name for name, _ in choices(pattern)}
    if mixer not in names:
        raise unknown("mixer of the pattern", mixer, names)

    return _rewritten(
        pattern,
        lambda name, given: {**given, **options} if name == mixer else given,
    )


def fill(pattern: str, option: str, value: Any, wanted: Callable[[Any], bool]) -> str:
    """The pattern with an option set in the mixers that have it and do not give it.

    Only where `wanted` of its default holds.
    """

    def filled(name: str, given: dict[str, str]) -> dict[str, str]:
        default = getattr(MIXERS[name].Options(), option, None)
        if option in given or default is None or not wanted(default):
            return given
        return {**given, option: str(value)}

    list(choices(pattern))  # refuses what is no pattern
    return _rewritten(pattern, filled)


def _rewritten(
    pattern: str, change: Callable[[str, dict[str, str]], Mapping[str, str]]
) -> str:
    """The pattern with the options of each mixer, as written, changed."""

    def edited(spec: str) -> str:
        name, given = parse(spec)
        return spell(name, dict(change(name, given)))

    return ",".join(
        "+".join(
            "|".join(edited(spec) for spec in split(stage, "|"))
            for stage in split(layer, "+")
        )
        for layer in split(pattern)
    )


def mixer(
    stage: Stage, *, width: int, causal: bool, length: int, rngs: nnx.Rngs
) -> Mixer:
    """The mixer of a stage: the one it names, or several side by side."""
    sizes = {"width": width, "causal": causal, "length": length, "rngs": rngs}
    built = [MIXERS[name](options, **sizes) for name, options in stage]
    return built[0] if len(built) == 1 else Parallel(built, width=width, rngs=rngs)


def _choice(spec: str) -> Choice:
    name, options = parse(spec)
    if name not in MIXERS:
        raise unknown("mixer", name, MIXERS)
    return name, build_options(MIXERS[name].Options, options, name)


def _given(options: Any) -> dict[str, Any]:
    """The options that differ from their defaults, a mixer's own ones first."""
    default = type(options)()
    fields = {field.name for field in dataclasses.fields(options)}
    own_first = [
        name for cls in type(options).__mro__ for name in inspect.get_annotations(cls)
    ]
    return {
        name: getattr(options, name)
        for name in dict.fromkeys(own_first)
        if name in fields and getattr(options, name) != getattr(default, name)
    }


def _written(pattern: str, shown: Callable[[Any], Any]) -> str:
    return ",".join(
        "+".join(
            "|".join(spell(name, shown(options)) for name, options in stage)
            for stage in layer
        )
        for layer in layers(pattern)
    )
