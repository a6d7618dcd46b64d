"""The PyTorch peers of `mixers.py`, on the same shapes, with one thread."""

from collections.abc import Callable
from typing import Any

import torch
from subjects import HEADS, SIZE, STATES, WIDTH, Subject
from torch.nn import functional as fn

CHUNK = 64


def peers() -> dict[str, Callable[[int, str], Subject]]:
    """Name -> a function that builds the subject for a length and a dtype."""
    torch.set_num_threads(1)
    return {
        "torch SDPA": _heads(
            lambda q, k, v: fn.scaled_dot_product_attention(q, k, v, is_causal=True)
        ),
        "torch FlexAttention 256": _flex,
        "torch linear chunked": _heads(linear),
        "torch recurrence loop": _flat(loop),
        "torch selective loop": _flat(selective_loop, 3),
        "torch LSTM": _cells(torch.nn.LSTM),
        "torch GRU": _cells(torch.nn.GRU),
    }


def linear(q, k, v):
    """Causal linear attention, chunk by chunk, in the plain form of the literature."""
    q, k = fn.elu(q) + 1, fn.elu(k) + 1
    batch, heads, length, size = q.shape
    shape = batch, heads, length // CHUNK, CHUNK, size
    q, k, v = (x.reshape(shape) for x in (q, k, v))
    written = k.transpose(-1, -2) @ v
    before = written.cumsum(2) - written
    within = (q @ k.transpose(-1, -2)).tril()
    return (q @ before + within @ v).reshape(batch, heads, length, size)


def loop(a, b):
    """h_t = sigmoid(a_t) h_{t-1} + b_t, a step at a time."""
    a = torch.sigmoid(a)
    h, history = torch.zeros_like(b[:, 0]), []
    for t in range(b.shape[1]):
        h = a[:, t] * h + b[:, t]
        history.append(h)
    return torch.stack(history, 1)


def selective_loop(u, step, both):
    """The selective scan of Mamba, a step at a time, with rates of 1 to N."""
    step = fn.softplus(step)
    written = step * u
    rate = torch.arange(1, STATES + 1, dtype=u.dtype)
    write, read = both[..., :STATES], both[..., SIZE : SIZE + STATES]
    h, history = torch.zeros(u.shape[0], WIDTH, STATES, dtype=u.dtype), []
    for t in range(u.shape[1]):
        kept = torch.exp(-step[:, t, :, None] * rate)
        h = kept * h + written[:, t, :, None] * write[:, t, None]
        history.append((h * read[:, t, None]).sum(-1))
    return torch.stack(history, 1)


def _subject(call: Callable[..., Any], inputs: list[Any], weights: Any = ()) -> Subject:
    def forward() -> Any:
        with torch.no_grad():
            return call(*inputs)

    cotangent = torch.randn_like(forward())

    def both() -> Any:
        for leaf in (*inputs, *weights):
            leaf.grad = None
        call(*inputs).backward(cotangent)

    return Subject(forward, both)


def _drawn(shape: tuple[int, ...], dtype: str, count: int) -> list[Any]:
    torch.manual_seed(0)
    kind = getattr(torch, dtype)
    return [torch.randn(shape, dtype=kind, requires_grad=True) for _ in range(count)]


def _heads(call: Callable[..., Any]) -> Callable[[int, str], Subject]:
    return lambda length, dtype: _subject(
        call, _drawn((1, HEADS, length, SIZE), dtype, 3)
    )


def _flat(call: Callable[..., Any], count: int = 2) -> Callable[[int, str], Subject]:
    return lambda length, dtype: _subject(
        call, _drawn((1, length, WIDTH), dtype, count)
    )


def _flex(length: int, dtype: str) -> Subject:
    """The window, forward only: FlexAttention has no backward on a CPU."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    mask = create_block_mask(
        lambda b, h, q, s: (q >= s) & (q - s < 256), 1, 1, length, length, device="cpu"
    )
    compiled = torch.compile(flex_attention)
    arrays = [leaf.detach() for leaf in _drawn((1, HEADS, length, SIZE), dtype, 3)]

    def forward() -> Any:
        with torch.no_grad():
            return compiled(*arrays, block_mask=mask)

    return Subject(forward, None)


def _cells(kind: Any) -> Callable[[int, str], Subject]:
    def make(length: int, dtype: str) -> Subject:
        (x,) = _drawn((1, length, WIDTH), dtype, 1)
        module = kind(WIDTH, WIDTH, batch_first=True).to(x.dtype)
        weights = list(module.parameters())
        return _subject(lambda x: module(x)[0], [x], weights)

    return make
