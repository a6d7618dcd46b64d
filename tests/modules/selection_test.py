"""The laws for mixers that select few of what they could see.

They are not among the cases of the laws: in bfloat16 rounding changes what is selected,
and the result with it.
"""

import pytest

from attn_research.modules import MIXERS
from attn_research.options.specs import choose
from attn_research.testing.laws import LAWS
from attn_research.testing.laws.case import Case

TABLES = {name: mixer.Options for name, mixer in MIXERS.items()}
SPECS = (
    "topk(heads=2,count=3,positions=rope,chunk=5)",
    "moba(heads=2,count=2,block=3,positions=alibi,chunk=5)",
)


@pytest.mark.parametrize("law", ["causality", "reach", "padding", "packing", "step"])
@pytest.mark.parametrize("spec", SPECS)
def test_law(spec, law):
    mixer = MIXERS[spec.partition("(")[0]]
    LAWS[law](Case(mixer, choose(spec, TABLES, "mixer"), True, spec, draws=40))
