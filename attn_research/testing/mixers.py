"""The judgement of a mixer: each law, with the smallest options that break it."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attn_research.modules import MIXERS
from attn_research.modules.attention_kinds import SparseOptions
from attn_research.modules.contract import MixerType, Preset, both_ways_only
from attn_research.ops.kernels import splash
from attn_research.options import BadInput, build, unknown
from attn_research.options.specs import parse, spell
from attn_research.testing.bounds import BOUNDS, Bounds
from attn_research.testing.laws import LAWS
from attn_research.testing.laws.case import WIDTH, Case
from attn_research.testing.laws.drawn import draws, law_drawn, values
from attn_research.testing.verdict import Verdict, broken, chosen, first_line

# Options that are drawn of a mixer beside those given.
DRAWN = 12
DRAWN_LAW = "drawn"
# What of a case a mixer may need more room in.
ROOM = ("flat", "same", "narrow", "gradient", "holes", "draws", "selects", "exact",
        "lacks", "flops")  # fmt: skip


def mixer_laws() -> tuple[str, ...]:
    """The names of the laws of a mixer."""
    return (*LAWS, DRAWN_LAW)


def case(spec: str, causal: bool) -> Case:
    """A mixer of the table, with the room that it needs."""
    name, given = parse(spec)
    if name not in MIXERS:
        raise unknown("mixer", name, MIXERS)
    options = build(MIXERS[name].Options, given, name)
    bounds = BOUNDS.get(spec) or BOUNDS.get(name) or Bounds("")
    return Case(
        MIXERS[name],
        options,
        causal,
        spec,
        flat=bounds.flat,
        same=bounds.same,
        narrow=bounds.narrow,
        gradient=bounds.gradient,
        flops=bounds.flops,
        selects=bounds.selects,
        exact=bounds.exact,
        holes=isinstance(options, SparseOptions),
        # The splash kernel runs on TPUs only.
        lacks=bounds.lacks or (() if splash.runs() else ("splash",)),
    )


def judge(
    mixer: str | MixerType, laws: Sequence[str] = (), **room: Any
) -> Iterator[Verdict]:
    """The verdict of each of the `laws` on a mixer, all of them by default.

    `mixer` is a spec of `MIXERS`, a class of mixers, or a preset of one; `room` holds
    fields of `Case`. Raises `BadInput` if the mixer does not build at all.
    """
    laws = chosen(laws, mixer_laws())
    cases = _cases(mixer, room)
    for name in laws:
        law = LAWS.get(name, law_drawn)
        verdict = Verdict(name, first_line(law))
        for one in cases:
            found = _drawn(one) if name == DRAWN_LAW else _broken(one, law)
            if found is not None:
                smallest = _smallest(found, law)
                words = broken(lambda law=law, one=smallest: law(one))
                verdict = verdict._replace(case=_words(smallest), fault=words)
                break
        yield verdict


def sentences() -> dict[str, str]:
    """Each law and what it demands."""
    return {name: first_line(LAWS.get(name, law_drawn)) for name in mixer_laws()}


def _cases(mixer: str | MixerType, room: dict[str, Any]) -> list[Case]:
    """The mixer in each direction that it has, the causal one first."""
    for name in room:
        if name not in ROOM:
            raise unknown("bound of a law", name, ROOM)
    cases, refusal = [], None
    for causal in (True, False):
        if isinstance(mixer, str):
            one = case(mixer, causal)
        elif hasattr(mixer, "Options"):
            module = mixer.module if isinstance(mixer, Preset) else mixer
            one = Case(mixer, mixer.Options(), causal, module.__name__)
        else:
            raise BadInput(
                f"{mixer!r} is no mixer; it must be a spec or a class with Options"
            )
        one = dataclasses.replace(one, **room)
        if causal and both_ways_only(one.mixer):
            continue
        try:
            one.build()
        except BadInput as error:  # a mixer may have one direction only
            refusal = refusal or error
        else:
            cases.append(one)
    if not cases:
        raise BadInput(
            f"{mixer} does not build at a width of {WIDTH} ({refusal}); its options "
            "must fit that width"
        )
    return cases


def _broken(one: Case, law: Callable[[Case], None]) -> Case | None:
    return None if broken(lambda: law(one)) is None else one


def _drawn(one: Case) -> Case | None:
    """The first of the cases with drawn options that breaks `law_drawn`."""

    def of(options: Any) -> Case:
        return dataclasses.replace(one, options=options)

    drawn = draws(type(one.options), DRAWN, lambda options: _fits(of(options)))
    return next(
        (
            other
            for other in map(of, (one.options, *drawn))
            if _broken(other, _lenient) is not None
        ),
        None,
    )


def _lenient(one: Case) -> None:
    """`law_drawn`, which says nothing about options that do not fit together."""
    try:
        law_drawn(one)
    except BadInput:
        return


def _fits(one: Case) -> bool:
    try:
        one.build()
    except BadInput:
        return False
    return True


def _smallest(one: Case, law: Callable[[Case], None]) -> Case:
    """The case with as many options at their defaults as still break the law."""
    law = _lenient if law is law_drawn else law
    for name, choice in values(type(one.options)).items():
        for value in choice:  # the default first
            if value == getattr(one.options, name):
                break
            try:
                fewer = one.with_options(**{name: value})
            except BadInput:
                continue
            if _fits(fewer) and _broken(fewer, law) is not None:
                one = fewer
                break
    return one


def _words(one: Case) -> str:
    """The spec of a case, with the options that are not at their defaults."""
    default = type(one.options)()
    given = {
        field.name: getattr(one.options, field.name)
        for field in dataclasses.fields(one.options)
        if getattr(one.options, field.name) != getattr(default, field.name)
    }
    name = one.name.partition("(")[0]
    return f"{spell(name, given)}, {'causal' if one.causal else 'both ways'}"
