"""Convolutions against written-out sums and against PyTorch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.ops.convolution import (
    depthwise_convolution,
    dilated_convolution,
    taps,
)

B, T, D, F = 2, 13, 3, 4
SEGMENTS = np.stack(
    [np.repeat([0, 1, 0, 2, 3], [2, 3, 1, 3, 4]), np.ones(13, int)]
).astype(np.int32)
OPS = {"depthwise": depthwise_convolution, "full": dilated_convolution}


def inputs(op: str, width: int):
    draw = np.random.default_rng(0).standard_normal
    kernel = draw((width, D) if op == "depthwise" else (width, D, F))
    return draw((B, T, D)), kernel


def written_out(x, kernel, dilation, causal, segments):
    y = np.zeros((B, T, kernel.shape[-1]))
    ahead = 0 if causal else kernel.shape[0] // 2
    for b, t, j in np.ndindex(B, T, kernel.shape[0]):
        s = t - (j - ahead) * dilation
        if 0 <= s < T and segments[b, s] == segments[b, t] != 0:
            y[b, t] += x[b, s] * kernel[j] if kernel.ndim == 2 else x[b, s] @ kernel[j]
    return y


@functools.partial(jax.jit, static_argnames=("op", "dilation", "causal", "form"))
def pull(x, kernel, segments, op, dilation, causal, form):
    run = functools.partial(
        OPS[op], dilation=dilation, causal=causal, segments_BT=segments,
        implementation=form,
    )  # fmt: skip
    y, back = jax.vjp(run, x, kernel)
    return y, *back(jnp.cos(y))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(
    "width, dilation, causal",
    [(1, 1, True), (4, 1, True), (3, 5, True), (2, 99, True), (5, 2, False)],
)
def test_every_form_is_the_written_out_sum(op, width, dilation, causal):
    x, kernel = inputs(op, width)
    want = written_out(x, kernel, dilation, causal, SEGMENTS)
    with jax.enable_x64(True):
        twin = pull(x, kernel, SEGMENTS, op, dilation, causal, "naive")
        got = pull(x, kernel, SEGMENTS, op, dilation, causal, None)
        np.testing.assert_allclose(twin[0], want, atol=1e-13)
        for one, two in zip(got, twin, strict=True):
            np.testing.assert_allclose(one, two, atol=1e-13)
    assert not np.asarray(got[0])[SEGMENTS == 0].any()
    assert not np.asarray(got[1])[SEGMENTS == 0].any()


@pytest.mark.parametrize("op", OPS)
def test_padding_may_hold_anything(op):
    x, kernel = (a.astype(np.float32) for a in inputs(op, 4))
    x[SEGMENTS == 0] = np.nan
    got = pull(x, kernel, SEGMENTS, op, 1, True, None)
    want = pull(np.nan_to_num(x), kernel, SEGMENTS, op, 1, True, None)
    for one, two in zip(got, want, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("size", [1e30, 0.0, 1e-40])
def test_extreme_inputs_stay_finite(op, size):
    x, kernel = inputs(op, 4)
    got = pull(np.float32(x * size), np.float32(kernel), SEGMENTS, op, 1, True, None)
    assert all(np.isfinite(leaf).all() for leaf in got)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("causal", [True, False])
def test_the_convolutions_are_those_of_pytorch(op, causal):
    torch = pytest.importorskip("torch", reason="the peer, PyTorch, is not installed")
    width, dilation = 3, 2
    x, kernel = inputs(op, width)
    peer_x = torch.tensor(x.swapaxes(1, 2), requires_grad=True)
    # PyTorch's last tap is the newest token, its kernels are (out, in / groups, taps).
    flipped = kernel[::-1].copy()
    flipped = flipped.T[:, None] if op == "depthwise" else flipped.transpose(2, 1, 0)
    peer_kernel = torch.tensor(flipped.copy(), requires_grad=True)
    reach = (width - 1) * dilation
    sides = (reach, 0) if causal else (reach // 2, reach // 2)
    peer = torch.nn.functional.conv1d(
        torch.nn.functional.pad(peer_x, sides), peer_kernel, dilation=dilation,
        groups=D if op == "depthwise" else 1,
    )  # fmt: skip
    peer.backward(torch.cos(peer.detach()))
    kernel_gradient = peer_kernel.grad.numpy()[..., ::-1]
    if op == "depthwise":
        kernel_gradient = kernel_gradient[:, 0].T
    else:
        kernel_gradient = kernel_gradient.transpose(2, 1, 0)
    with jax.enable_x64(True):
        got = pull(x, kernel, None, op, dilation, causal, None)
        got = [np.asarray(a) for a in got]
    peer_y, peer_dx = (a.detach().numpy().swapaxes(1, 2) for a in (peer, peer_x.grad))
    for ours, theirs in zip(got, (peer_y, peer_dx, kernel_gradient), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_taps_and_refusals():
    assert taps(4, 2, causal=True) == [0, 2, 4, 6]
    assert taps(3, 2, causal=False) == [-2, 0, 2]
    with pytest.raises(ValueError, match="4 taps; it must have an odd number"):
        taps(4, 1, causal=False)
    for op, run in OPS.items():
        x, kernel = (a.astype(np.float32) for a in inputs(op, 3))
        with pytest.raises(ValueError, match="'fast'; it must be one of naive"):
            run(x, kernel, implementation="fast")
