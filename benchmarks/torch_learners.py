"""The PyTorch side of `learning.py`: our model with a published mixer in each layer."""

import math
import warnings
from typing import Any

import jax
import numpy as np
import torch
from learners import Setting, Trained, batches, rates, start
from torch import nn
from torch.nn import functional as fn

from attn_research import tasks
from attn_research.ops.positions import sinusoid


class Recurrence(nn.Module):
    """An LSTM or GRU, and a projection of its states as ours has one."""

    def __init__(self, kind: Any, width: int):
        super().__init__()
        self.inner = kind(width, width, batch_first=True)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x):
        return self.out(self.inner(x)[0])


class Attention(nn.Module):
    """Causal attention of four heads, without biases."""

    def __init__(self, width: int):
        super().__init__()
        self.inner = nn.MultiheadAttention(width, 4, bias=False, batch_first=True)

    def forward(self, x):
        future = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        return self.inner(x, x, x, attn_mask=future, need_weights=False)[0]


def mixers(name: str, width: int, layers: int) -> list[nn.Module]:
    """The published mixers of every layer, as their packages initialise them."""
    if name in ("lstm", "gru"):
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[name]
        return [Recurrence(kind, width) for _ in range(layers)]
    if name == "dense":
        return [Attention(width) for _ in range(layers)]
    from transformers import MambaConfig, MambaModel

    config = MambaConfig(
        vocab_size=2,
        hidden_size=width,
        num_hidden_layers=layers,
        state_size=16,
        expand=2,
        conv_kernel=4,
    )
    return [block.mixer for block in MambaModel(config).layers]


class LM(nn.Module):
    """Our model around other mixers: pre-norm, no MLP, a head of its own."""

    def __init__(self, params: Any, setting: Setting, mixers: list[nn.Module]):
        super().__init__()
        spec = tasks.make(setting.task).spec
        width, frontend = setting.width, params["trunk"]["frontend"]
        self.tokens = spec.inputs == "tokens"
        if self.tokens:
            self.table = nn.Parameter(_tensor(frontend["table"]))
        else:
            self.project = _linear(frontend["project"])
        self.place = None
        if setting.positions == "sinusoid":
            place_T = np.arange(spec.length)
            self.place = torch.tensor(np.asarray(sinusoid(place_T, width)))
        self.mixers = nn.ModuleList(mixers)
        self.norms = nn.ModuleList(
            nn.LayerNorm(width, eps=1e-6) for _ in range(len(mixers) + 1)
        )
        self.head = _linear(params["head"]["matrix"])

    def forward(self, inputs):
        if self.tokens:
            x = self.table[inputs] * math.sqrt(self.table.shape[1])
        else:
            x = self.project(inputs)
        if self.place is not None:
            x = x + self.place
        for mixer, norm in zip(self.mixers, self.norms, strict=False):
            x = x + mixer(norm(x))
        return self.head(self.norms[-1](x))


def _tensor(array: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(array))


def _linear(params: Any) -> nn.Linear:
    """Our projection: a kernel of inputs by outputs, and a bias."""
    kernel, bias = (_tensor(params[name]) for name in ("kernel", "bias"))
    layer = nn.Linear(*kernel.shape)
    with torch.no_grad():
        layer.weight.copy_(kernel.T)
        layer.bias.copy_(bias)
    return layer


def scored(model: nn.Module, batch: Any, target: str) -> tuple[torch.Tensor, float]:
    """The weighted mean loss of a batch, and that of the score beside it."""
    inputs, targets, weights = map(
        _tensor, (batch.inputs, batch.targets, batch.weights)
    )
    outputs = model(inputs)
    if target == "value":
        error = outputs[..., 0] - targets.reshape(weights.shape)
        loss, score = error**2, error.detach().abs()
    else:
        loss = fn.cross_entropy(
            outputs.transpose(1, 2), targets.long(), reduction="none"
        )
        score = (outputs.argmax(-1) == targets).float()
    total = weights.sum()
    return (loss * weights).sum() / total, float((score * weights).sum() / total)


def theirs(setting: Setting, name: str, seed: int) -> Trained:
    """The model with the mixers of a peer, trained and tested."""
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers advises on its fast kernels
        inner = mixers(name, setting.width, setting.layers)
    return trained(setting, seed, inner)


def trained(setting: Setting, seed: int, inner: list[nn.Module]) -> Trained:
    """The model with these mixers, trained and tested."""
    torch.set_num_threads(1)
    params = jax.device_get(start(setting, seed))
    model, target = LM(params, setting, inner), tasks.make(setting.task).spec.target
    adam = torch.optim.Adam(model.parameters(), lr=setting.lr)
    losses = []
    for rate, batch in zip(
        rates(setting), batches(setting, seed, "train"), strict=True
    ):
        loss, _ = scored(model, batch, target)
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), setting.clip)
        adam.param_groups[0]["lr"] = rate
        adam.step()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        tested = [
            scored(model, batch, target) for batch in batches(setting, seed, "test")
        ]
    loss, score = (
        math.fsum(map(float, values)) / len(tested)
        for values in zip(*tested, strict=True)
    )
    return Trained(losses, loss, score)
