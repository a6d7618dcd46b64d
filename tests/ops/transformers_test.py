"""Ops against the plain PyTorch forms in transformers: outputs and gradients."""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.ops import sparse
from attn_research.ops.delta import delta_rule
from attn_research.ops.linear import linear_attention
from attn_research.ops.masks import window
from attn_research.ops.mlstm import matrix_lstm
from attn_research.ops.nystrom import nystrom_attention
from attn_research.ops.patterns import Globals

B, T, H, K = 2, 24, 2, 4
D = H * K


@pytest.fixture
def torch():
    pytest.importorskip("transformers", reason="the peer is not installed")
    return pytest.importorskip("torch", reason="the peer is not installed")


def drawn(*shapes):
    noise = np.random.default_rng(0)
    return [noise.standard_normal(shape, np.float32) for shape in shapes]


def same(ours, arrays, peer, leaves, peer_out, atol=2e-5):
    """Outputs, and the gradients of their product with a cotangent, agree.

    `leaves` are the peer's tensors for `arrays`; `peer` gives an array of ours.
    """
    out, back = jax.vjp(jax.jit(ours), *(jnp.asarray(a) for a in arrays))
    np.testing.assert_allclose(out, peer(peer_out.detach()), rtol=1e-4, atol=atol)
    (cotangent,) = drawn(out.shape)
    peer_cotangent = peer_out.new_tensor(cotangent)
    if peer(peer_cotangent).shape != out.shape:  # the peer orders its axes otherwise
        peer_cotangent = peer_cotangent.transpose(1, 2)
    peer_out.backward(peer_cotangent)
    for got, leaf in zip(back(jnp.asarray(cotangent)), leaves, strict=True):
        want = leaf.grad.numpy()
        np.testing.assert_allclose(
            got, want, rtol=1e-4, atol=atol * max(1, abs(want).max())
        )


def leaf(torch, array):
    return torch.tensor(array, requires_grad=True)


@pytest.mark.parametrize("decays", [False, True])
def test_the_delta_rule_is_that_of_qwen3_next(torch, decays):
    from transformers.models.qwen3_next import modeling_qwen3_next as peers

    q, k, v, z, g = drawn(*[(B, T, H, K)] * 3, *[(B, T, H)] * 2)
    k = k / np.linalg.norm(k, axis=-1, keepdims=True)
    beta, decay = 1 / (1 + np.exp(-z)), -np.logaddexp(0, g) * decays
    leaves = [leaf(torch, a) for a in (q, k, v, beta, decay)]
    out, _ = peers.torch_recurrent_gated_delta_rule(
        *leaves[:3], g=leaves[4], beta=leaves[3]
    )

    def ours(q, k, v, beta, decay):
        log_decay = decay if decays else None
        return delta_rule(q / 2, k, v, beta, log_decay_BTH=log_decay, chunk=8)

    if not decays:
        out = out + 0 * leaves[4].sum()
        leaves[4].register_hook(torch.zeros_like)
    same(ours, (q, k, v, beta, decay), lambda a: a.numpy(), leaves, out)


def test_the_mlstm_is_that_of_xlstm(torch, monkeypatch):
    from transformers import utils

    # With the package of that name there is no plain form to compare with.
    monkeypatch.setattr(utils, "is_xlstm_available", lambda: False)
    from transformers.models.xlstm import modeling_xlstm as peers

    q, k, v, write, f = drawn(*[(B, T, H, K)] * 3, *[(B, T, H)] * 2)
    leaves = [leaf(torch, a) for a in (q, k, v, write, f)]
    heads = [x.transpose(1, 2) for x in leaves]
    out = peers.mlstm_recurrent_sequence_native(*heads, eps=0.0)
    out = out[0] if isinstance(out, tuple) else out

    def ours(q, k, v, write, f):
        return matrix_lstm(q / 2, k, v, write, jax.nn.log_sigmoid(f), chunk=8)

    arrays = q, k, v, write, f
    same(ours, arrays, lambda a: a.transpose(1, 2).numpy(), leaves, out)


def test_a_decay_per_head_is_the_lightning_attention_of_minimax(torch):
    from transformers.models.minimax import modeling_minimax as peers

    config = peers.MiniMaxConfig(
        hidden_size=3 * D, num_attention_heads=H, head_dim=K, block_size=8,
        num_hidden_layers=2, layer_types=["linear_attention"] * 2,
    )  # fmt: skip
    peer = peers.MiniMaxLightningAttention(config, layer_idx=0)
    # All around the sum itself is made to do nothing.
    peer.act_fn = peer.norm = torch.nn.Identity()
    with torch.no_grad():
        peer.qkv_proj.weight.copy_(torch.eye(3 * D))
        peer.output_gate.weight.zero_()
        peer.out_proj.weight.copy_(2 * torch.eye(3 * D, D))
    q, k, v = drawn(*[(B, T, H, K)] * 3)
    leaves = [leaf(torch, a) for a in (q, k, v)]
    hidden = torch.cat(leaves, dim=-1).reshape(B, T, 3 * D)
    out = peer(hidden, None, None)[0][..., :D].reshape(B, T, H, K)
    decay = -np.asarray(peer.slope_rate).reshape(H)
    ours = functools.partial(linear_attention, log_decay=jnp.asarray(decay), chunk=8)
    same(ours, (q, k, v), lambda a: a.numpy(), leaves, out)


def layer(torch, peer, op, *arguments):
    """An attention layer of the peer is `op` between the same projections."""
    x = leaf(torch, drawn((B, T, D))[0])
    out = peer(x, *arguments)
    parts = [getattr(peer, name) for name in ("query", "key", "value")]
    leaves = [x, *(w for part in parts for w in (part.weight, part.bias))]

    def ours(x_BTD, *weights):
        pairs = zip(weights[::2], weights[1::2], strict=True)
        heads = [x_BTD @ w_ED.T + b_E[None, None] for w_ED, b_E in pairs]
        return op(*(x.reshape(B, T, H, K) for x in heads)).reshape(B, T, D)

    arrays = [one.detach().numpy() for one in leaves]
    same(ours, arrays, lambda a: a.numpy(), leaves, out[0])


def test_nystrom_attention_is_that_of_nystromformer(torch):
    from transformers.models.nystromformer import modeling_nystromformer as peers

    config = peers.NystromformerConfig(
        hidden_size=D, num_attention_heads=H, num_landmarks=6, segment_means_seq_len=T,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    peer = peers.NystromformerSelfAttention(config)
    peer.conv_kernel_size = None  # a convolution added to the values
    peer.init_option = "exact"  # each head by its own norm, as in the paper
    layer(torch, peer, functools.partial(nystrom_attention, landmarks=6))


@pytest.mark.parametrize("tokens", [0, 3])
def test_a_window_with_global_tokens_is_that_of_longformer(torch, tokens):
    from transformers.models.longformer import modeling_longformer as peers

    config = peers.LongformerConfig(
        hidden_size=D, num_attention_heads=H, attention_window=[4],
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    peer = peers.LongformerSelfAttention(config, layer_id=0).eval()
    for name in ("query", "key", "value"):  # global tokens have no others here
        setattr(peer, f"{name}_global", getattr(peer, name))
    told = torch.zeros(B, T)
    told[:, :tokens] = 10_000.0
    mask = window(2, 2) | Globals(tokens) if tokens else window(2, 2)
    op = functools.partial(sparse.sparse_attention, mask=mask, chunk=4)
    layer(torch, peer, op, told, told < 0, told > 0, tokens > 0)


@dataclass(frozen=True)
class Table:
    """Blocks of `size` tokens that see each other, as a table lists them."""

    rows: tuple[tuple[bool, ...], ...]
    size: int

    def admit(self, query, key):
        library = jnp if isinstance(query, jax.Array) else np
        return library.asarray(self.rows)[query // self.size, key // self.size]

    def may(self, area):
        return self.admit(area.first, area.low)

    full = may

    def reach(self, length):
        return length


def test_blocks_drawn_at_random_are_those_of_big_bird(torch):
    """Its own draw, as a mask: global ends, a window of three blocks, random links."""
    from transformers.models.big_bird import modeling_big_bird as peers

    length, size, links = 44, 4, 2
    blocks = length // size
    config = peers.BigBirdConfig(
        hidden_size=K, num_attention_heads=1, block_size=size,
        num_random_blocks=links, max_position_embeddings=length,
    )  # fmt: skip
    peer = peers.BigBirdBlockSparseAttention(config, seed=3).train()
    np.random.seed(3)
    plan = peer._get_rand_attn_plan(length, size, links)
    (links_NR,) = peer._bigbird_block_rand_mask_with_head(
        length, length, size, size, 1, *plan
    )
    seen = abs(np.subtract.outer(range(blocks), range(blocks))) <= 1
    seen[[0, -1]] = seen[:, [0, -1]] = True
    for row, linked in enumerate(links_NR, 1):
        seen[row, linked] = True
    # Its second rows see the three blocks at their end, not at both.
    mask = Table(tuple(map(tuple, seen.tolist())), size)
    ones = torch.ones(B, length)
    blocked, band, before, after = (
        peers.BigBirdModel.create_masks_for_block_sparse_attn(ones, size)
    )
    x = leaf(torch, drawn((B, length, K))[0])
    out = peer(x, band, before, after, blocked, blocked)[0]
    parts = [peer.query, peer.key, peer.value]
    leaves = [x, *(w for part in parts for w in (part.weight, part.bias))]

    def ours(x_BTD, *weights):
        pairs = zip(weights[::2], weights[1::2], strict=True)
        heads = [x_BTD @ w_ED.T + b_E[None, None] for w_ED, b_E in pairs]
        split = (one.reshape(B, length, 1, K) for one in heads)
        return sparse.sparse_attention(*split, mask=mask, chunk=size).reshape(
            B, length, K
        )

    arrays = [one.detach().numpy() for one in leaves]
    same(ours, arrays, lambda a: a.numpy(), leaves, out)
