"""The PyTorch peer of `population.py`: the same model, task and optimizer.

Pre-norm attention without MLP, a tied head, published recall with vectorised sampling,
AdamW with clipping; members are trained one after another.
"""

import math
import os
import time
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as fn

IGNORED = -100
POWER = 0.01  # exponent of the published distribution of gaps


class Attention(nn.Module):
    """Norm, causal attention of one head, residual."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x):
        q, k, v = self.inner(self.norm(x))[:, None].chunk(3, dim=-1)
        y = fn.scaled_dot_product_attention(q, k, v, is_causal=True)
        return x + self.out(y[:, 0])


class LM(nn.Module):
    """Two layers with learned positions and a tied head."""

    def __init__(self, vocabulary: int, width: int, length: int):
        super().__init__()
        self.table = nn.Embedding(vocabulary, width)
        self.place = nn.Embedding(length, width)
        self.drop = nn.Dropout(0.1)
        self.layers = nn.Sequential(Attention(width), Attention(width))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens, at=None):
        """Logits everywhere, or only at the positions `at`."""
        x = self.table(tokens) + self.place.weight
        x = self.norm(self.layers(self.drop(x)))
        if at is not None:
            x = x.gather(1, at[:, :, None].expand(-1, -1, x.shape[-1]))
        return x @ self.table.weight.T


def draw(batch: int, length: int, pairs: int, vocabulary: int):
    """Tokens, the values to recall, and the positions of their queries."""
    half = vocabulary // 2
    keys = torch.rand(batch, half - 1).topk(pairs).indices + 1
    values = torch.rand(batch, half).topk(pairs).indices + half
    slots = torch.arange(1, (length - 2 * pairs) // 2 + 1)
    law = slots ** (POWER - 1.0)
    at = 2 * pairs + 2 * torch.multinomial(law.expand(batch, -1), pairs)
    tokens = torch.zeros(batch, length, dtype=torch.long)
    tokens[:, 0 : 2 * pairs : 2], tokens[:, 1 : 2 * pairs : 2] = keys, values
    return tokens.scatter(1, at, keys), values, at


def train(
    *,
    length: int,
    pairs: int,
    vocabulary: int,
    width: int,
    batch: int,
    members: Sequence[tuple[float, int]],
    labelled: bool,
    seconds: float,
    steps: int = 0,
    patience: float = math.inf,
) -> dict[str, float]:
    """Model steps per second, over `steps` of each member or `seconds` for all.

    After `patience` seconds the remaining members are skipped.
    """
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    done, began = 0, time.perf_counter()
    for rate, seed in members:
        torch.manual_seed(seed)
        model = LM(vocabulary, width, length)
        adam = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.1)
        turn, member = time.perf_counter(), 0
        share = seconds / len(members)
        while member < steps if steps else time.perf_counter() - turn < share:
            if time.perf_counter() - began > patience:
                break
            tokens, values, at = draw(batch, length, pairs, vocabulary)
            adam.zero_grad()
            if labelled:
                logits, targets = model(tokens, at), values
            else:
                logits = model(tokens)
                targets = torch.full((batch, length), IGNORED).scatter(1, at, values)
            loss = fn.cross_entropy(
                logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED
            )
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adam.step()
            member += 1
        done += member
    spent = time.perf_counter() - began
    return {"steps": done, "steps_per_second": done / spent}
