"""Every law for every mixer, both ways; and for each law, mixers that it rejects."""

import jax
import numpy as np
import pytest
from flax import nnx

from attn_research.functional import functional
from attn_research.modules import BOTH_WAYS_ONLY, MIXERS
from attn_research.modules.contract import Preset
from attn_research.modules.sparse import SparseOptions
from attn_research.ops.kernels import splash
from attn_research.options import choose
from tests.broken_mixers import BROKEN
from tests.laws import LAWS
from tests.laws.case import Case, inputs

# Beside the defaults of each mixer: what exercises another path of it.
VARIANTS = (
    "dense(heads=4,groups=2,positions=rope)",
    "dense(heads=2,groups=1,head_size=3,positions=learned)",
    "dense(heads=2,positions=t5,buckets=8,distance=8,qk_norm=true,cap=2,sinks=true)",
    "window(window=4,heads=2,positions=rope)",
    "bigbird(heads=2,window=2,globals=1,random=1,block=2,positions=rope,chunk=4)",
    "linear(heads=2,feature=identity,normalize=false,decay=scalar)",
    "linear(heads=2,feature=hedgehog,decay=input)",
)
SLOW_VARIANTS = (
    "linformer(slots=5,shared=true,heads=2)",
    "nystrom(landmarks=4)",
    "window(window=1,groups=1,positions=learned)",
    "dense(heads=2,positions=rope,share=0.5,scaling=yarn,factor=4,bias=true)",
    "window(window=4,heads=2,positions=alibi,sinks=true,cap=1)",
    "longformer(window=2,dilation=2,globals=2,chunk=3)",
    "sparse_transformer(window=3,stride=4,groups=2)",
    "linear(heads=2,decay=scalar)",
    "gla(key_size=3,rank=2,gate=none)",
    "delta(negative=true,decay=true,conv=0)",
    "mlstm(conv=0)",
    "mamba2(conv=0,state=3,expand=1)",
    "gru(state=6)",
    "rnn(heads=2)",
    "mingru(gate=true,conv=3)",
    "s4d(init=inverse,state=3)",
    "baseconv(filter=short)",
    "hyena(order=3)",
    "diagonal(gate=false)",
    "conv(gate=false)",
    'dilated(kernel=3,dilations="1,2")',
)


# Of these a second direction is another program for little: the same op, mirrored.
SLOW_BOTH = (
    "gru",
    "rnn",
    "lru",
    "bigbird",
    "reformer",
    "topk",
    "dilated",
    "s4d",
    "mamba",
    "baseconv",
    "hyena",
    "mamba2",
    "delta",
    "mlstm",
)
# Of these the quick tests of the ops compare the forms already.
FORMS_OF_THE_OP = (
    "linear",
    "mamba",
    "mamba2",
    "mlstm",
    "delta",
    "bigbird",
    "topk",
    "nystrom",
    "lru",
    "s4d",
    "diagonal",
    "baseconv",
    "hyena",
)
# Each compiles programs that it shares with no other law: eager ones, one in Linen, two
# in float64, a Jacobian. Quick are those of one mixer a family.
OF_A_FAMILY = ("jit", "bridge", "reference", "reach")
FAMILIES = ("dense", "window", "linear", "lstm", "rnn", "diagonal", "conv", "linformer")
# The laws that a setting alone can break.
OF_THE_SETTING = ("shape", "causality", "padding", "packing", "step", "cost")
# The laws that a direction alone can break.
OF_THE_MIRROR = ("padding", "packing", "reach")
# Of one key the softmax is one, whatever the query.
FLAT = {"window(window=1,groups=1,positions=learned)": ("query", "key", "table_ND")}
# The gradient of a decay sums over all tokens, and its terms cancel to a seventh of
# their size: 3.1e-6 and 2.0e-2 are seen, on the leaf `decay_odds`.
LOOSE = {"same": 7e-6, "narrow": 4e-2}
# The steps of an inverse repeat the rounding of their products: 1.2e-6 is seen.
INVERSE = {"same": 2e-6}
# So are biases of gates and time steps: 7.2e-2 is seen on `log_rate`. The norm of the
# heads divides by (q . k) v of the first token, however small: 1.9e-6 (retnet, delta).
FORGETFUL = {"same": 7e-6, "narrow": 0.1}
BOUNDS = dict.fromkeys(("retnet", "gla", "mamba2", "delta"), LOOSE) | dict.fromkeys(
    ("gated_delta", "mlstm"), FORGETFUL
)
# Of a time step of S5, what decays more and what is written more nearly cancel: 3.3e-6
# and 5.6e-2 are seen. The g of minGRU has a kink at 0, and of a number that bfloat16
# rounds across it the gradient jumps: 5.4e-2. Hyena has six products in a row, 2.3e-2,
# and sums packed tokens in other blocks: 1.0e-6, of order 3 2.3e-6. So does S4D, whose
# inverse frequencies are the largest: 1.1e-6.
SEQUENTIAL = {
    "s5": {"same": 7e-6, "narrow": 1e-1},
    "mingru": {"narrow": 1e-1},
    "minlstm": {"narrow": 1e-1},
    "hyena": {"same": 5e-6, "narrow": 4e-2},
    "s4d": {"same": 3e-6},
}


def case(spec: str, causal: bool) -> Case:
    tables = {name: mixer.Options for name, mixer in MIXERS.items()}
    mixer = MIXERS[spec.partition("(")[0]]
    options = choose(spec, tables, "mixer")
    flat = FLAT.get(spec, ())
    learned = "decay=scalar" in spec or "decay=input" in spec
    loose = LOOSE if learned else {}
    if spec.startswith("nystrom"):
        loose = INVERSE
    # The gradient of a sink sums over all queries: 1.0e-6 is seen.
    loose = loose or ({"same": 2e-6} if "sinks=true" in spec else {})
    loose = loose or BOUNDS.get(spec.partition("(")[0], {})
    loose = loose or SEQUENTIAL.get(spec.partition("(")[0], {})
    holes = isinstance(options, SparseOptions)
    # What the library's attention cannot do, it refuses.
    lacks = () if splash.runs() else ("splash",)
    if spec.startswith("dense") and "sinks=true" in spec:
        lacks = "library", "splash"
    return Case(mixer, options, causal, spec, flat, holes=holes, lacks=lacks, **loose)


def cases():
    """Every law for every mixer both ways, and for variants; some only under -m slow.

    Quick are all laws of one mixer of each class, those of the setting for its presets
    and variants, and for the other direction those that a mirror image can break.
    """
    seen = set()
    for spec in (*MIXERS, *VARIANTS, *SLOW_VARIANTS):
        name = spec.partition("(")[0]
        ways = (False,) if name in BOTH_WAYS_ONLY else (True, False)
        mixer = MIXERS[name]
        module = mixer.module if isinstance(mixer, Preset) else mixer
        first, _ = module not in seen, seen.add(module)
        for causal in ways:
            if spec in SLOW_VARIANTS:
                laws = ()
            elif causal is not ways[0]:
                laws = OF_THE_MIRROR if first and name not in SLOW_BOTH else ()
            else:
                laws = LAWS if first else OF_THE_SETTING
            one = case(spec, causal)
            for law in LAWS:
                quick = law in laws
                quick &= law != "forms" or name not in FORMS_OF_THE_OP
                quick &= law not in OF_A_FAMILY or name in FAMILIES
                marks = () if quick else pytest.mark.slow
                yield pytest.param(one, law, id=f"{law}-{one}", marks=marks)


@pytest.mark.parametrize("case, law", list(cases()))
def test_law(case, law):
    LAWS[law](case)


@pytest.mark.parametrize("bug", BROKEN)
def test_the_law_rejects(bug):
    law, case = BROKEN[bug]
    # A module that holds more than parameters is refused before it can be wrong.
    refused = ValueError if law in ("functional", "bridge") else AssertionError
    with pytest.raises(refused):
        LAWS[law](case)


def test_every_law_can_fail():
    assert {law for law, _ in BROKEN.values()} == set(LAWS)


class Stack(nnx.Module):
    """Twelve layers: as strings their numbers sort 0, 1, 10, 11, 2, ..."""

    def __init__(self, *, rngs: nnx.Rngs):
        one = Case(MIXERS["conv"], MIXERS["conv"].Options(), True)
        self.layers = nnx.List(one.build(rngs) for _ in range(12))

    def __call__(self, x_BTD):
        for layer in self.layers:
            x_BTD = x_BTD + layer(x_BTD)
        return x_BTD


def test_twelve_layers_are_bound_by_name_not_by_position():
    model = functional(Stack)
    params = model.init(jax.random.key(0))
    x_BTD = inputs()[0]
    want = model.bind(params)(x_BTD)
    shuffled = {"layers": {k: params["layers"][k] for k in sorted(params["layers"])}}
    assert list(shuffled["layers"])[2] == "10"
    np.testing.assert_array_equal(model.bind(shuffled)(x_BTD), want)
    swapped = dict(params["layers"], **{"2": params["layers"]["10"]})
    assert (model.bind({"layers": swapped})(x_BTD) != want).any()
    with pytest.raises(ValueError, match="missing"):
        model.bind({"layers": {k: v for k, v in swapped.items() if k != "11"}})
