"""Coreference: which of two persons a pronoun far behind them means."""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp

from attn_research.options import BadInput, option
from attn_research.tasks.contract import Batch, Draws, Spec, Split

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


@dataclass(frozen=True)
class Coreference:
    """Two persons with their trades among sentences about things, then a pronoun.

    "Anna is a pilot . the lake was cold . Emil is a judge . ... in the end , she" asks
    at the pronoun for the one it means: by gender; by number, where one is a family
    ("the Fords are pilots .", they); or by property, where both have the same gender
    ("as the pilot , she"). `mixed` draws the cue of each row. `gap` is the distance to
    the name. Chance is to answer with either name. The sequence begins within a
    sentence where its length is no multiple of five.
    """

    length: int = option(100, "Words in a sequence, signs included.", low=15)
    cue: Cue = option("mixed", "What tells the persons apart.")
    between: int | None = option(
        None, "Sentences from the one with the name to the pronoun; none: any.", low=0
    )

    def __post_init__(self) -> None:
        most = self.length // SENTENCE - 2
        if self.between is not None and self.between > most:
            raise BadInput(
                f"coreference of length {self.length} has room for {most} sentences "
                f"between name and pronoun; {self.between} are asked for"
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
            labels=1,
            metrics=("accuracy", "loss"),
            chance=1 / 2,
        )

    def arrays(self) -> tuple[()]:
        return ()

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        # The first sentence may be cut; of the whole ones the last holds the pronoun.
        count, whole = -(-self.length // SENTENCE), self.length // SENTENCE
        draws = Draws(key, split, size, 9 + 2 * count)
        kind_B2, property_B1 = self._kinds(draws)
        person_B2, trade_B2 = MANY * kind_B2 + _two(draws, MANY), _two(draws, MANY)
        at_B2 = _two(draws, whole - 1)
        if self.between is not None:  # the other person stands as far from this one
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
        """What the person meant and the other one are, B2, and if a trade tells them.

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
    """Tokens along a last axis: those given, and those of the words of texts."""
    tokens: list[int | jax.Array] = []
    for part in parts:
        tokens += map(_token, part.split()) if isinstance(part, str) else [part]
    return jnp.stack(jnp.broadcast_arrays(*map(jnp.asarray, tokens)), axis=-1)
