"""One complex diagonal recurrence for all channels together: LRU and S5."""

import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attn_research.modules.contract import (
    Cost,
    Projection,
    checked,
    cost_of,
    dynamics,
    everything,
)
from attn_research.modules.directions import (
    backward,
    both_directions,
    passes,
    refuse_decoding,
    without_padding,
)
from attn_research.modules.segments import reading
from attn_research.modules.ssm import Readout
from attn_research.modules.stepping import stepping
from attn_research.ops.precision import wide
from attn_research.ops.recurrence import diagonal_recurrence
from attn_research.options import BadInput, declared, option

Decay = tuple[jax.Array, jax.Array]


@declared
class ModalOptions:
    """Options of the mixers `lru` and `s5`."""

    poles: Literal["ring", "hippo"] = option(
        "ring", "How decays are parametrised: LRU's ring, or S5's HiPPO in steps."
    )
    state: int = option(
        0,
        "Complex states N; 0: the width (ring), half of it (hippo).",
        low=0,
        high=65536,
    )
    inner: float = option(0.9, "Ring: least decay at the start.", low=0, below=1)
    outer: float = option(0.999, "Ring: largest decay at the start.", above=0, below=1)
    turn: float = option(
        2 * math.pi, "Ring: largest phase at the start, in radians.", above=0
    )
    slowest: float = option(1e-3, "Hippo: least time step at the start.", above=0)
    fastest: float = option(1e-1, "Hippo: largest time step at the start.", above=0)
    implementation: Literal["naive", "sequential", "associative", "chunked"] | None = (
        option(None, "Form computed, all with one result; none: the best that runs.")
    )


class Ring(nnx.Module):
    """a = exp(-exp(nu) + i exp(theta)), its input scaled by exp(gamma).

    Magnitudes start with uniform squares between `inner` and `outer`, phases uniform up
    to `turn`, gamma at log sqrt(1 - |a|^2). Orvieto et al., 2023, arXiv:2303.06349.
    """

    def __init__(self, options: ModalOptions, size: int, *, rngs: nnx.Rngs):
        if options.inner >= options.outer:
            raise BadInput(
                f"lru has inner={options.inner} and outer={options.outer}; outer must "
                "be larger than inner"
            )
        low, high = options.inner**2, options.outer**2
        square_N = jax.random.uniform(
            rngs.params(), (size,), jnp.float32, minval=low, maxval=high
        )
        phase_N = options.turn * jax.random.uniform(
            rngs.params(), (size,), jnp.float32, minval=1e-3
        )
        self.nu = dynamics(jnp.log(-0.5 * jnp.log(square_N)))
        self.theta = dynamics(jnp.log(phase_N))
        self.gamma = dynamics(0.5 * jnp.log1p(-square_N))

    def __call__(self, work: Any) -> Decay:
        """The decay and the scale of the input, complex."""
        nu, theta, gamma = (
            p.get_value().astype(work) for p in (self.nu, self.theta, self.gamma)
        )
        a_N = jnp.exp(jax.lax.complex(-jnp.exp(nu), jnp.exp(theta)))
        return a_N, jnp.exp(gamma).astype(a_N.dtype)


class Steps(nnx.Module):
    """a = exp(dt pole), pole = -rate + i frequency, the input held over a step dt.

    The poles start as half of the eigenvalues of HiPPO-N, the steps log-uniform.
    Smith et al., 2022, arXiv:2208.04933.
    """

    def __init__(
        self, options: ModalOptions, frequency_N: np.ndarray, *, rngs: nnx.Rngs
    ):
        size = len(frequency_N)
        low, high = math.log(options.slowest), math.log(options.fastest)
        self.log_rate = dynamics(jnp.full(size, math.log(0.5), jnp.float32))
        self.frequency = dynamics(jnp.asarray(frequency_N, jnp.float32))
        self.log_step = dynamics(
            jax.random.uniform(
                rngs.params(), (size,), jnp.float32, minval=low, maxval=high
            )
        )

    def __call__(self, work: Any) -> Decay:
        """The decay and the scale of the input, complex."""
        log_rate, frequency, log_step = (
            p.get_value().astype(work)
            for p in (self.log_rate, self.frequency, self.log_step)
        )
        pole_N = jax.lax.complex(-jnp.exp(log_rate), frequency)
        log_N = jnp.exp(log_step).astype(pole_N.dtype) * pole_N
        return jnp.exp(log_N), jnp.expm1(log_N) / pole_N


class Modal(nnx.Module):
    """y = readout(Re(C h)), h_t = a h_{t-1} + scale (B x_t), of N complex states.

    B and C are dense and complex, a and scale learned for each state (`poles`). With
    hippo only one of each conjugate pair is kept, and B and C start as random matrices
    in the basis of its eigenvectors. If not causal, a second one with its own weights
    runs from the end.
    """

    Options = ModalOptions

    @checked
    def __init__(
        self,
        options: ModalOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        self.options, self.causal = options, causal
        hippo = options.poles == "hippo"
        default = max(1, width // 2) if hippo else width
        self.size = N = options.state or default
        # Both hold real parts, then imaginary ones: of B x, and of what C reads.
        self.write = Projection(width, 2 * N, rngs=rngs, scale=0.5)
        self.read = Projection(2 * N, width, rngs=rngs, scale=2)
        if hippo:
            frequency_N, basis_SN = hippo_modes(N)
            real_DS, real_SD = (
                jax.random.normal(rngs.params(), shape, jnp.float32)
                for shape in ((width, 2 * N), (2 * N, width))
            )
            parts = np.concatenate([np.real(basis_SN), -np.imag(basis_SN)], axis=1)
            parts = jnp.asarray(parts, jnp.float32)
            self.write.kernel = nnx.Param(real_DS @ parts * width**-0.5)
            # The conjugates left out would add as much again.
            self.read.kernel = nnx.Param(2 * (2 * N) ** -0.5 * parts.T @ real_SD)
            self.decay = Steps(options, frequency_N, rngs=rngs)
        else:
            self.decay = Ring(options, N, rngs=rngs)
        self.out = Readout(width, rngs=rngs)
        self.backward = backward(
            Modal, options, causal=causal, width=width, length=length, rngs=rngs
        )

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> jax.Array:
        refuse_decoding(f"modal(poles={self.options.poles})", self.causal)
        dtype = np.promote_types(wide(dtype), np.complex64)
        return jnp.zeros((batch, self.size), dtype)

    @stepping
    def step(self, x_BD: jax.Array, carry: jax.Array) -> tuple[jax.Array, jax.Array]:
        a_N, b_BN = self._terms(x_BD)
        carry = a_N[None] * carry + b_BN
        return self._read(carry, x_BD), carry

    def cost(self, length: int) -> Cost:
        kernels = self.write.kernel, self.read.kernel, self.out.project.kernel
        # A complex product is four real ones.
        products = sum(kernel.get_value().size for kernel in kernels) + 8 * self.size
        return cost_of(self, length, passes(self.causal) * length * products)

    reach = everything

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        a_N, b_BTN = self._terms(x_BTD)
        h_BTN = diagonal_recurrence(
            jnp.broadcast_to(a_N[None, None], b_BTN.shape),
            b_BTN,
            segments_BT=segments_BT,
            implementation=self.options.implementation,
        )
        return self._read(h_BTN, x_BTD)

    def _terms(self, x: jax.Array) -> Decay:
        work = wide(x.dtype)
        a_N, scale_N = self.decay(work)
        real, imaginary = jnp.split(self.write(x).astype(work), 2, axis=-1)
        scale = jnp.expand_dims(scale_N, tuple(range(x.ndim - 1)))
        return a_N, scale * jax.lax.complex(real, imaginary)

    def _read(self, h: jax.Array, x: jax.Array) -> jax.Array:
        parts = jnp.concatenate([h.real, h.imag], axis=-1).astype(x.dtype)
        return self.out(self.read(parts), x)


def hippo_modes(size: int) -> tuple[np.ndarray, np.ndarray]:
    """frequency_N and the eigenvectors (2N, N) of HiPPO-N with positive frequency.

    HiPPO-N, of 2N states, is -1/2 plus an antisymmetric matrix with entries
    sqrt((2r + 1) (2c + 1)) / 2 (Gu et al., 2022, arXiv:2206.11893). Raises `BadInput`
    for more than 2048 modes, whose eigenvectors take minutes and gigabytes.
    """
    if size > 2048:
        raise BadInput(f"{size} modes of HiPPO-N are asked for; at most 2048 must be")
    root_S = np.sqrt(2 * np.arange(2 * size) + 1.0)
    skew_SS = np.outer(root_S, root_S) / 2
    skew_SS = np.triu(skew_SS, 1) - np.tril(skew_SS, -1)
    # -i times an antisymmetric matrix is Hermitian; its eigenvalues come in order.
    frequency_S, basis_SS = np.linalg.eigh(-1j * skew_SS)
    return frequency_S[size:], basis_SS[:, size:]
