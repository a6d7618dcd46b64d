"""Models of equal cost: within 2 %, whatever widths the heads divide."""

import pytest

from attn_research.config import Config, Model, edit
from attn_research.options import BadInput
from attn_research.studies.matching import match
from attn_research.training import program

DENSE = Config(
    task="recall(length=64)", model=Model(pattern="dense", width=128, mlp="gelu")
)
LSTM = edit(DENSE, {"model.pattern": "lstm"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "pattern"), [("params", "conv,dense(heads=4)"), ("flops", "lstm")]
)
def test_the_width_is_chosen_to_cost_the_same(target, pattern):
    fair = match(edit(DENSE, {"model.pattern": pattern}), target=target, like=DENSE)
    got, want = (getattr(program.cost(one), target) for one in (fair, DENSE))
    assert abs(got - want) <= 0.02 * want
    if "dense" in pattern:
        assert fair.model.width % 4 == 0


def test_an_option_of_a_mixer_is_chosen():
    ring = edit(DENSE, {"model.pattern": "conv,window"})
    fair = match(ring, target="state_bytes", like=LSTM, by="window.window", tolerance=1)
    assert fair.model.width == 128 and fair.model.pattern.startswith("conv,window(")
    again = match(LSTM, target="state_bytes", like=fair, by="lstm.state")
    got, want = (program.cost(one).state_bytes for one in (again, fair))
    assert abs(got - want) <= 0.02 * want


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"target": "parameters"}, "Unknown target 'parameters'.*did you mean"),
        ({"by": "gru.state"}, "Unknown mixer of the pattern 'gru'"),
        ({"by": "model.layers", "tolerance": 1e-9}, "No model.layers brings params"),
        ({"by": "lstm.sate"}, "Unknown option of lstm 'sate'"),
    ],
)
def test_what_cannot_be_matched_is_one_sentence(options, says):
    with pytest.raises(BadInput, match=says):
        match(LSTM, **{"target": "params", "like": DENSE, **options})
