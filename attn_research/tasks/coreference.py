"""Coreference: which of two people a distant pronoun refers to."""

from typing import Literal

import jax
import jax.numpy as jnp

from attn_research.options import BadInput, declared, option
from attn_research.tasks.contract import LARGEST, Batch, Draws, Spec, Split, no_arrays
from attn_research.tasks.parts import overlap

WOMEN = "Anna Bella Clara Diana Emma Flora Greta Helen Irene Julia".split()
MEN = "Adam Boris Carl David Emil Frank Georg Henry Ivan Jacob".split()
FAMILIES = "Adlers Bakers Clarks Dunns Evans Fords Grants Hills Irvings Jones".split()
TRADES = "baker doctor farmer judge lawyer pilot sailor singer teacher writer".split()
THINGS = "bridge field forest garden house island lake mountain river road".split()
LOOKS = "bright cold dark deep empty green old quiet warm wide".split()
SIGNS = "she he they is are a the was in end as , .".split()
PEOPLE = [*WOMEN, *MEN, *FAMILIES]
PLURAL = [f"{trade}s" for trade in TRADES]
# A token is the place of its word.
WORDS = (*PEOPLE, *TRADES, *PLURAL, *THINGS, *LOOKS, *SIGNS)
MANY = 10  # words of each kind
WOMAN, MAN, FAMILY = range(3)
SENTENCE = 5  # words, signs included

Cue = Literal["gender", "number", "property", "mixed"]
CUES = ("gender", "number", "property")


@declared
class Coreference:
    """Two people with their trades among sentences about things, then a pronoun.

    "Anna is a pilot . the lake was cold . Emil is a judge . ... in the end , she" asks
    at the pronoun for its referent: by gender; by number, if one is a family ("the
    Fords are pilots .", they); or by property, if both have the same gender ("as the
    pilot , she"). `mixed` samples the cue of each row. `gap` is the distance to the
    name. Chance is the accuracy of either name. If the length is not a multiple of
    five, the first sentence is cut at its start.
    """

    length: int = option(
        100, "Words in a sequence, including signs.", low=15, high=LARGEST
    )
    cue: Cue = option("mixed", "Cue that identifies the referent.")
    between: int | None = option(
        None,
        "Sentences between the name's and the pronoun's; none: any.",
        low=0,
        high=LARGEST,
    )

    def __post_init__(self) -> None:
        most = self.length // SENTENCE - 2
        if self.between is not None and self.between > most:
            raise BadInput(
                f"coreference.between is {self.between}; at length {self.length} it "
                f"must be at most {most}"
            )

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs="tokens",
            features=len(WORDS),
            target="token",
            outputs=len(WORDS),
            length=self.length,
            causal=True,
            whole=True,
            labels=1,
            metrics=("accuracy", "loss"),
            chance=1 / 2,
        )

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        # The first sentence may be cut; the last one has the pronoun.
        count, whole = -(-self.length // SENTENCE), self.length // SENTENCE
        draws = Draws(key, split, size, 9 + 2 * count)
        kind_B2, property_B1 = self._kinds(draws)
        person_B2, trade_B2 = MANY * kind_B2 + _two(draws, MANY), _two(draws, MANY)
        at_B2 = _two(draws, whole - 1)
        if self.between is not None:  # both shift, so their distance stays
            shift_B1 = whole - 2 - self.between - at_B2[:, :1]
            at_B2 = (at_B2 + shift_B1) % (whole - 1)
        at_B2 = at_B2 + count - whole
        text_BSW = _phrase(
            "the",
            _token(THINGS[0]) + draws.integers(count, MANY),
            "was",
            _token(LOOKS[0]) + draws.integers(count, MANY),
            ".",
        )
        one_B2W = _phrase(person_B2, "is a", _token(TRADES[0]) + trade_B2, ".")
        all_B2W = _phrase("the", person_B2, "are", _token(PLURAL[0]) + trade_B2, ".")
        intro_B2W = jnp.where((kind_B2 == FAMILY)[:, :, None], all_B2W, one_B2W)
        pronoun_B1 = _token("she") + kind_B2[:, :1]
        end_B1W = jnp.where(
            property_B1[:, :, None],
            _phrase("as the", _token(TRADES[0]) + trade_B2[:, :1], ",", pronoun_B1),
            _phrase("in the end ,", pronoun_B1),
        )
        rows_B1 = jnp.arange(size)[:, None]
        text_BSW = text_BSW.at[rows_B1, at_B2].set(intro_B2W)
        text_BSW = text_BSW.at[:, -1:].set(end_B1W)
        # A family has an article before its name.
        name_B2 = at_B2 * SENTENCE + (kind_B2 == FAMILY).astype(jnp.int32)
        before = ((0, 0), (self.length - 1, 0))
        gap_B1 = count * SENTENCE - 1 - name_B2[:, :1]
        return Batch(
            inputs=text_BSW.reshape(size, -1)[:, -self.length :],
            targets=jnp.pad(person_B2[:, :1], before),
            weights=jnp.pad(jnp.ones((size, 1)), before),
            segments=jnp.ones((size, self.length), jnp.int32),
            gap=jnp.pad(gap_B1, before, constant_values=-1),
        )

    def _kinds(self, draws: Draws) -> tuple[jax.Array, jax.Array]:
        """kind_B2 of the referent and the other one, and whether the cue is the trade.

        Takes three columns.
        """
        gender_B1, family_B1, cue_B1 = (draws.integers(1, n) for n in (2, 2, 3))
        if self.cue != "mixed":
            cue_B1 = jnp.full_like(cue_B1, CUES.index(self.cue))
        families_B1 = jnp.full_like(gender_B1, FAMILY)
        kinds = [  # by gender, by number, by property
            (gender_B1, 1 - gender_B1),
            (
                jnp.where(family_B1 > 0, families_B1, gender_B1),
                jnp.where(family_B1 > 0, gender_B1, families_B1),
            ),
            (gender_B1, gender_B1),
        ]
        kinds_3B2 = jnp.stack([jnp.concatenate(pair, axis=1) for pair in kinds])
        kind_B2 = jnp.take_along_axis(kinds_3B2, cue_B1[None], axis=0)[0]
        return kind_B2, cue_B1 == CUES.index("property")


def _two(draws: Draws, high: int) -> jax.Array:
    """Two different integers below `high`, B2; takes two columns."""
    first_B1 = draws.integers(1, high)
    return jnp.concatenate(
        [first_B1, (first_B1 + 1 + draws.integers(1, high - 1)) % high], axis=1
    )


def _token(word: str) -> int:
    return WORDS.index(word)


def _phrase(*parts: str | jax.Array) -> jax.Array:
    """Tokens along a last axis: arrays as they are, texts word by word."""
    tokens: list[int | jax.Array] = []
    for part in parts:
        tokens += map(_token, part.split()) if isinstance(part, str) else [part]
    return jnp.stack(jnp.broadcast_arrays(*map(jnp.asarray, tokens)), axis=-1)
