"""Feature maps: the phi of linear attention, q . k -> phi(q) . phi(k).

Every map takes (..., K) and computes in the dtype it is given. Where phi(q) . phi(k) is
never negative, the weights can be normalised to sum to one. Then a map `log_...` gives
the logarithms of its features, which may have any magnitude: `linear_attention` takes
them with `logarithms=True`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

# No exponent above: it is reached from heads of more than 150 on, if at all.
LARGEST = 80.0


def elu_plus_one(x: jax.Array) -> jax.Array:
    """elu(x) + 1, positive everywhere.

    Written as x + 1 above zero and exp(x) below: expm1(x) + 1 would lose the digits of
    a small weight. Katharopoulos et al., 2020, arXiv:2006.16236.
    """
    # The inner choice keeps exp and its gradient finite in the branch not taken.
    return jnp.where(x > 0, x + 1, jnp.exp(jnp.where(x > 0, 0, x)))


def log_elu_plus_one(x: jax.Array) -> jax.Array:
    """log(elu(x) + 1): log(x + 1) above zero, x itself below."""
    return jnp.where(x > 0, jnp.log1p(jnp.where(x > 0, x, 0)), x)


def identity(x: jax.Array) -> jax.Array:
    """x itself; its weights have either sign and cannot be normalised."""
    return x


def squared_relu(x: jax.Array) -> jax.Array:
    """max(x, 0)^2, zero for half of all x. So et al., 2021, arXiv:2109.08668."""
    return jnp.square(jnp.maximum(x, 0))


def log_squared_relu(x: jax.Array) -> jax.Array:
    """log(max(x, 0)^2), which is -inf for half of all x."""
    return jnp.where(x > 0, 2 * jnp.log(jnp.where(x > 0, x, 1)), -jnp.inf)


def taylor(x: jax.Array) -> jax.Array:
    """1 + K + K (K + 1) / 2 features whose product is 1 + s + s^2 / 2, s = q.k/sqrt(K).

    The second-order Taylor polynomial of exp(s), at least 1/2 everywhere. Of the K^2
    products x_i x_j each pair is kept once. Arora et al., 2024, arXiv:2402.18668.
    """
    K = x.shape[-1]
    x = x * K**-0.25
    ones = jnp.ones((*x.shape[:-1], 1), x.dtype)
    pairs = []
    for i in range(K):
        # s^2 / 2 holds a pair i < j twice halved, so once, and a square half.
        own = x[..., i : i + 1]
        pairs += [own * own * 0.5**0.5, own * x[..., i + 1 :]]
    return jnp.concatenate([ones, x, *pairs], axis=-1)


def random_positive(
    x: jax.Array, directions_MK: np.ndarray, *, query: bool
) -> jax.Array:
    """exp(w . x' - |x'|^2 / 2) / sqrt(M) for each direction w, x' = x / K^(1/4).

    Of normal directions, the product of the features of q and k has the expectation
    exp(q . k / sqrt(K)): the kernel of softmax attention. A query's features are
    divided by the largest of them, which cancels if weights are normalised; a key's
    are not, for this would weigh it against the others, and may underflow for keys far
    from the origin, which only their logarithms survive. Choromanski et al., 2020,
    arXiv:2009.14794.
    """
    log_feature = log_random_positive(x, directions_MK, query=query)
    if query:
        log_feature = log_feature - jax.lax.stop_gradient(
            log_feature.max(axis=-1, keepdims=True)
        )
    return jnp.exp(jnp.minimum(log_feature, LARGEST)) * len(directions_MK) ** -0.5


def log_random_positive(
    x: jax.Array, directions_MK: np.ndarray, *, query: bool
) -> jax.Array:
    """w . x' - |x'|^2 / 2: `random_positive` without its factor 1 / sqrt(M).

    A query's are w . x': what its features share cancels as weights are normalised.
    """
    x = x * directions_MK.shape[1] ** -0.25
    log_feature = x @ jnp.asarray(directions_MK.T, x.dtype)
    if query:
        return log_feature
    return log_feature - jnp.square(x).sum(axis=-1, keepdims=True) / 2


@functools.cache
def orthogonal_directions(seed: int, features: int, size: int) -> np.ndarray:
    """w_MK: normal directions, orthogonal to each other in blocks of K, in float64.

    The directions are uniform and the lengths those of normal vectors, so that each w
    alone is normal; orthogonality lowers the variance of the kernel. A function of the
    seed, and so a constant of the program.
    """
    draw = np.random.default_rng(seed).standard_normal
    blocks = []
    for _ in range(-(-features // size)):
        q_KK, r_KK = np.linalg.qr(draw((size, size)))
        # The signs of QR's columns depend on the library; fixed, they are uniform.
        blocks.append((q_KK * np.sign(np.diagonal(r_KK))).T)
    length_M1 = np.linalg.norm(draw((features, size)), axis=1, keepdims=True)
    return np.concatenate(blocks)[:features] * length_M1


def hedgehog(x_BTHK: jax.Array, kernel_HKM: jax.Array) -> jax.Array:
    """softmax(x W) beside softmax(-x W), 2 M features, W learned for each head.

    Softmax in place of the exponential keeps the features below one. Zhang et al.,
    2024, arXiv:2402.04347.
    """
    return jnp.exp(log_hedgehog(x_BTHK, kernel_HKM))


def log_hedgehog(x_BTHK: jax.Array, kernel_HKM: jax.Array) -> jax.Array:
    """The logarithms of `hedgehog`."""
    z = jnp.einsum("...HK,HKM->...HM", x_BTHK, kernel_HKM)
    return jnp.concatenate([jax.nn.log_softmax(z), jax.nn.log_softmax(-z)], axis=-1)


def unit(x: jax.Array) -> jax.Array:
    """x / sqrt(|x|^2 + 1e-6): of length 1, or 0 if x is."""
    return x * jax.lax.rsqrt(jnp.square(x).sum(axis=-1, keepdims=True) + 1e-6)
