"""A mixer that the analyses do not know: they read its trace, and no list of names."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_research import analysis
from attn_research.analysis import mixing, subject
from attn_research.analysis.runs import Member
from attn_research.modules import MIXERS
from attn_research.modules.contract import Cost, Projection
from attn_research.ops.linearity import linear_in
from attn_research.report.inside import page
from attn_research.report.inside.page import View
from tests.analysis.made import LENGTH, TOKENS, TWO, WIDTH, asking, restored

PAST_TS = np.tril(np.ones((LENGTH, LENGTH)))


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of the new mixers: none."""


def past(v_BTD):
    """The mean of the past at every position."""
    count_T = 1 + jnp.arange(v_BTD.shape[1], dtype=v_BTD.dtype)
    return jnp.cumsum(v_BTD, axis=1) / count_T[None, :, None]


class Past(nnx.Module):
    """y = out(past(x)), by an op that declares nothing."""

    Options, op = Options, staticmethod(past)

    def __init__(self, options, *, width, causal, length, rngs):
        self.causal, self.out = causal, Projection(width, width, rngs=rngs)

    def __call__(self, x_BTD, segments_BT=None):
        return self.out(self.op(x_BTD))

    def reach(self, length):
        return length

    def start(self, batch, length, dtype=jnp.float32):
        return jnp.zeros((batch, 1), dtype)

    def cost(self, length):
        return Cost(0, 0, 0)


class Declared(Past):
    """The same by an op that declares its values: one head for each channel."""

    op = staticmethod(linear_in("v_BTD")(past))


class Twice(Past):
    """What a declared op has mixed, mixed by it again: no op is the whole mixer."""

    @staticmethod
    def op(v_BTD):
        return Declared.op(jnp.tanh(Declared.op(v_BTD)))


@pytest.fixture(params=[Past, Declared, Twice])
def mixer(request, monkeypatch):
    monkeypatch.setitem(MIXERS, "new", request.param)
    return request.param


def test_it_has_a_page(mixer, tmp_path):
    of = restored("new")
    text = subject.of_text(of, bytes(range(6)))
    view = View(tmp_path, Member(of, 0, mixer.__name__, []), text, "A text.")
    path = page.write(tmp_path / "page", [view], ["mixing", "heads"])
    written = path.read_text()
    assert "Layer 0 (new)" in written
    assert ("Jacobian" in written) == (mixer is not Declared)


def test_its_form_is_closed_if_one_op_declares_its_values(mixer):
    of = restored("new")
    named, x_TD = mixing.chosen(of, TOKENS, 0)
    closed = mixer is Declared
    assert mixing.form_of(named, x_TD) == ("closed" if closed else "jacobian")
    M_TS = analysis.mixing_matrix(of, TOKENS, layer=0)
    assert ((M_TS > 0) == (PAST_TS > 0)).all()
    if closed:
        np.testing.assert_allclose(M_TS, PAST_TS / PAST_TS.sum(axis=1, keepdims=True))


def test_it_can_be_removed_and_its_heads_point(mixer):
    of, flags_BT = restored("new"), np.ones(TWO.shape, bool)
    spec, batch = asking(TWO)
    parts = analysis.ablations(of, spec, [batch])
    heads = WIDTH if mixer is Declared else 0
    assert len(parts) == 3 + heads
    assert (parts[0].loss_B != parts[1].loss_B).any()
    pointing = analysis.head_pointing(of, TWO, flags_BT, flags_BT)
    assert len(pointing) == (heads or 1)
    assert all(np.allclose(head.share_B, 1) for head in pointing)
