"""Variable tracking: follow a number through a chain of assignments."""

import jax
import jax.numpy as jnp

from attn_research.options import BadInput, declared, option
from attn_research.tasks.contract import LARGEST, Batch, Draws, Spec, Split, no_arrays
from attn_research.tasks.needle import answered_digits
from attn_research.tasks.parts import overlap


@declared
class VariableTracking:
    """Assignments such as x107=4821; and x033=x107; and at the end ?x033= to answer.

    Chains of assignments copy a number from variable to variable, in order but anywhere
    among the assignments of other numbers to other variables; each variable is assigned
    once. The end asks for the last variable of one chain, and the model answers digit
    by digit, each digit seeing those before it. `gap` is the distance to the same digit
    where the number was assigned. Hsieh et al., 2024, arXiv:2404.06654, over bytes.
    Newlines at the start fill up the length.
    """

    length: int = option(512, "Bytes in a sequence.", low=1, high=LARGEST)
    chains: int = option(
        4, "Chains of assignments, one of them queried.", low=1, high=LARGEST
    )
    hops: int = option(
        2, "Copies from the first to the last of a chain.", low=0, high=LARGEST
    )
    digits: int = option(
        4, "Digits per number; a variable has one less.", low=2, high=5
    )

    def __post_init__(self) -> None:
        links, names = self.chains * (self.hops + 1), 10 ** (self.digits - 1)
        if links > self._assignments():
            raise BadInput(
                f"{self.chains} chains of {self.hops} hops are {links} assignments; in "
                f"variable_tracking of length {self.length} they must be at most "
                f"{max(self._assignments(), 0)}"
            )
        if self._assignments() > names:
            raise BadInput(
                f"variable_tracking of length {self.length} has {self._assignments()} "
                f"assignments; with {self.digits} digits they must be at most {names}"
            )

    def _assignments(self) -> int:
        """The number of assignments, of 2 * digits + 2 bytes, before the question."""
        return (self.length - 2 * self.digits - 1) // (2 * self.digits + 2)

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs="tokens",
            features=256,
            target="token",
            outputs=256,
            length=self.length,
            causal=True,
            whole=True,
            labels=self.digits,
            metrics=("accuracy", "loss"),
            chance=1 / 10,
        )

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        count, names = self._assignments(), 10 ** (self.digits - 1)
        draws = Draws(key, split, size, 4 * count)
        # One variable from each of `count` ranges, so that all differ.
        width = names // count
        name_BA = draws.order(count) * width + draws.integers(count, width)
        number_BA = draws.integers(count, 10**self.digits)
        links = self.chains * (self.hops + 1)
        link_BCH = draws.order(count)[:, :links].reshape(size, self.chains, -1)
        link_BCH = jnp.sort(link_BCH, axis=2)
        rows_B1 = jnp.arange(size)[:, None]
        copies_BL = link_BCH[:, :, 1:].reshape(size, -1)
        copied_BL = link_BCH[:, :, :-1].reshape(size, -1)
        source_BL = jnp.take_along_axis(name_BA, copied_BL, axis=1)
        source_BA = jnp.full((size, count), -1).at[rows_B1, copies_BL].set(source_BL)

        right_BAN = jnp.where(
            source_BA[:, :, None] >= 0,
            self._variable(source_BA),
            _digits(number_BA, self.digits),
        )
        sign = jnp.ones((size, count, 1), jnp.int32)
        line = [self._variable(name_BA), sign * ord("="), right_BAN, sign * ord(";")]
        lines_BT = jnp.concatenate(line, axis=2).reshape(size, -1)
        first_B1, last_B1 = link_BCH[:, 0, :1], link_BCH[:, 0, -1:]
        asked_B1 = jnp.take_along_axis(name_BA, last_B1, axis=1)
        number_B1 = jnp.take_along_axis(number_BA, first_B1, axis=1)
        answer_BN = _digits(number_B1, self.digits)[:, 0]
        end = [
            sign[:, 0] * ord("?"),
            self._variable(asked_B1)[:, 0],
            sign[:, 0] * ord("="),
            answer_BN[:, :-1],
        ]
        inputs_BT = jnp.concatenate([lines_BT, *end], axis=1)
        begin = self.length - inputs_BT.shape[1]
        inputs_BT = jnp.pad(inputs_BT, ((0, 0), (begin, 0)), constant_values=ord("\n"))
        from_B1 = begin + first_B1 * (2 * self.digits + 2) + self.digits + 1
        return answered_digits(inputs_BT, answer_BN, from_B1)

    def _variable(self, name_BA: jax.Array) -> jax.Array:
        """The letter x and the digits of a variable, in bytes."""
        digit_BAN = _digits(name_BA, self.digits - 1)
        return jnp.pad(digit_BAN, ((0, 0), (0, 0), (1, 0)), constant_values=ord("x"))


def _digits(number_BA: jax.Array, count: int) -> jax.Array:
    """The digits of numbers in bytes, with leading zeros."""
    power_N = 10 ** jnp.arange(count)[::-1]
    return ord("0") + number_BA[:, :, None] // power_N[None, None] % 10
