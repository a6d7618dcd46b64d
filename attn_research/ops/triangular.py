"""Systems of a triangular matrix with ones on its diagonal, without LAPACK.

Its solver would do, but in jaxlib 0.10 two simultaneous batched calls on a CPU can
wait for each other forever: each holds a thread of a pool that both want more of. So
small blocks of the inverse are computed row by row, and then doubled at every step:

    [ A 0 ]-1     [  A-1         0   ]
    [ B D ]     = [ -D-1 B A-1   D-1 ]

(Golub & Van Loan, 2013, Matrix Computations, section 3.1.)
"""

import jax
import jax.numpy as jnp

EXACT = jax.lax.Precision.HIGHEST
BASE = 8  # rows of a block that are computed one by one


def solve(strict_XTT: jax.Array, b_XTE: jax.Array) -> jax.Array:
    """x_XTE of (1 + strict) x = b, where `strict` is zero on and above its diagonal.

    X is any number of leading axes. Only gradients below the diagonal are meaningful.
    """
    inverse_XTT = inverse(jax.lax.stop_gradient(strict_XTT))

    def times(matrix_XTT: jax.Array, x_XTE: jax.Array) -> jax.Array:
        return jnp.matmul(matrix_XTT, x_XTE, precision=EXACT)

    return jax.lax.custom_linear_solve(
        lambda x_XTE: x_XTE + times(strict_XTT, x_XTE),
        b_XTE,
        lambda _, x_XTE: times(inverse_XTT, x_XTE),
        lambda _, x_XTE: times(jnp.swapaxes(inverse_XTT, -1, -2), x_XTE),
    )


def inverse(strict_XTT: jax.Array) -> jax.Array:
    """The inverse of 1 + strict, zero above its diagonal."""
    *X, T, _ = strict_XTT.shape
    levels = max(0, -(-T // BASE) - 1).bit_length()
    base = -(-T // 2**levels)
    beyond = [(0, 0)] * len(X) + [(0, (base << levels) - T)] * 2
    strict_XSS = jnp.pad(strict_XTT, beyond)
    found_XNSS = _substituted(_blocks(strict_XSS, base)[..., :, 0, :, 0, :])
    for half in (base << level for level in range(levels)):
        below_XNSS = _blocks(strict_XSS, 2 * half, half)[..., :, 1, :, 0, :]
        first_XNSS, second_XNSS = (found_XNSS[..., n::2, :, :] for n in (0, 1))
        mixed_XNSS = jnp.matmul(second_XNSS, below_XNSS, precision=EXACT)
        mixed_XNSS = jnp.matmul(mixed_XNSS, first_XNSS, precision=EXACT)
        upper_XNSR = jnp.concatenate([first_XNSS, jnp.zeros_like(mixed_XNSS)], -1)
        lower_XNSR = jnp.concatenate([-mixed_XNSS, second_XNSS], -1)
        found_XNSS = jnp.concatenate([upper_XNSR, lower_XNSR], -2)
    return found_XNSS[..., 0, :T, :T]


def _blocks(strict_XSS: jax.Array, size: int, part: int = 0) -> jax.Array:
    """The blocks of a diagonal, each in parts: block, row's part, row, column's, it."""
    *X, whole, _ = strict_XSS.shape
    part = part or size
    split = whole // size, size // part, part
    grid = strict_XSS.reshape(*X, *split, *split)
    return jnp.moveaxis(jnp.diagonal(grid, axis1=-6, axis2=-3), -1, -5)


def _substituted(strict_XNSS: jax.Array) -> jax.Array:
    """The inverses of small blocks, row by row."""
    one_SS = jnp.eye(strict_XNSS.shape[-1], dtype=strict_XNSS.dtype)
    one_XNSS = jnp.broadcast_to(one_SS, strict_XNSS.shape)
    rows_XNRS = one_XNSS[..., :1, :]
    for row in range(1, strict_XNSS.shape[-1]):
        weight_XNR1 = strict_XNSS[..., row, :row, None]
        read_XN1S = (weight_XNR1 * rows_XNRS).sum(-2, keepdims=True)
        next_XN1S = one_XNSS[..., row : row + 1, :] - read_XN1S
        rows_XNRS = jnp.concatenate([rows_XNRS, next_XN1S], -2)
    return rows_XNRS
