"""Every law for every mixer, in both directions, and for telling variants of each."""

import pytest

from attn_research.modules.dense import Dense
from attn_research.modules.sparse import Window
from attn_research.options import choose
from laws import LAWS, Case

MIXERS = {"dense": Dense, "window": Window}
# Beside the defaults of each mixer: what exercises another path of it.
VARIANTS = (
    "dense(heads=4,groups=2,positions=rope)",
    "dense(heads=2,groups=1,head_size=3,positions=learned)",
    "window(window=4,heads=2,positions=rope)",
    "window(window=1,heads=2)",
)


def cases() -> list[Case]:
    tables = {name: mixer.Options for name, mixer in MIXERS.items()}
    return [
        Case(
            MIXERS[spec.partition("(")[0]], choose(spec, tables, "mixer"), causal, spec
        )
        for spec in (*MIXERS, *VARIANTS)
        for causal in (True, False)
    ]


@pytest.mark.parametrize("case", cases(), ids=str)
@pytest.mark.parametrize("law", LAWS)
def test_law(law, case):
    LAWS[law](case)
