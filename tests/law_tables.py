"""Variants of mixers, and which laws test which by default."""

from collections.abc import Sequence
from typing import NamedTuple

from attn_research.modules import MIXERS

# Beside the defaults of each mixer: what exercises another path of it.
VARIANTS = (
    "dense(heads=4,groups=2,positions=rope,gate=channel)",
    "dense(heads=2,groups=1,head_size=3,positions=learned)",
    "dense(heads=2,positions=t5,buckets=8,distance=8,qk_norm=true,cap=2,sinks=true)",
    "window(window=4,heads=2,positions=rope)",
    "dense(heads=2,groups=1,forget=true)",
    "bigbird(heads=2,window=2,globals=1,random=1,block=2,positions=rope,chunk=4)",
    "linear(heads=2,feature=identity,normalize=false,decay=scalar)",
    "linear(heads=2,feature=hedgehog,decay=input)",
    "rglru(whole=true)",
)
SLOW_VARIANTS = (
    "linformer(slots=5,shared=true,heads=2)",
    "nystrom(landmarks=4)",
    "window(window=4,heads=2,gate=head)",
    "window(window=4,heads=2,positions=alibi,cap=2,sinks=true,forget=true)",
    "moba(heads=2,gate=channel)",
    "mla(heads=2,rank=3,rotary=2,query_rank=5)",
    "differential(positions=rope)",
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


# One mixer of each class, and of each kind of attention.
ONE_EACH = (
    *("dense", "window", "bigbird", "topk", "linear", "mamba2", "delta", "rwkv7"),
    *("mlstm", "rnn", "diagonal", "lru", "s4d", "mamba", "conv", "dilated", "baseconv"),
    *("hyena", "reformer", "linformer", "nystrom"),
    *("mla", "differential", "hgrn2", "rwkv4", "rwkv6"),
)
FAMILIES = ("dense", "window", "linear", "rnn", "diagonal", "conv", "linformer")
# The second direction of the others is the same op mirrored: a program for little.
MIRRORED = ("dense", "window", "linear", "diagonal", "conv")
# The quick tests of the ops compare the forms of the others already.
OTHER_FORMS = ("dense", "window", "rnn", "conv", "dilated", "reformer", "linformer")
# Presets of the delta rule whose options other presets have.
SIBLINGS = ("gdn2", "deltaproduct", "comba")
MIXERS_ONLY = tuple(name for name in MIXERS if name not in SIBLINGS)
EVERY = (*MIXERS, *VARIANTS)


class Quick(NamedTuple):
    """The mixers that a law tests by default, and those it tests both ways."""

    mixers: Sequence[str]
    both_ways: Sequence[str] = ()


QUICK = {
    # The laws that a setting alone can break.
    "shape": Quick(EVERY),
    "causality": Quick(EVERY),
    "padding": Quick(EVERY, MIRRORED),
    "packing": Quick(EVERY, MIRRORED),
    "step": Quick(EVERY),
    "cost": Quick(EVERY),
    "rows": Quick(ONE_EACH),
    "empty": Quick(ONE_EACH),
    "carry": Quick(ONE_EACH),
    "finite": Quick(ONE_EACH),
    "functional": Quick(ONE_EACH),
    "forms": Quick(OTHER_FORMS),
    # Each compiles programs that it shares with no other law: eager ones, one in Linen,
    # two in float64, a Jacobian.
    "jit": Quick(FAMILIES),
    "bridge": Quick(FAMILIES),
    "reference": Quick(FAMILIES),
    "reach": Quick(FAMILIES, MIRRORED),
    # All of one program, but for `flops`, which is traced only, and `narrow`.
    "far_step": Quick(MIXERS_ONLY),
    "far_packing": Quick(MIXERS_ONLY),
    "far_causality": Quick(MIXERS_ONLY),
    # A second program in float64, whose sorts take long to compile.
    "far_gradient": Quick(tuple(name for name in MIXERS if name != "topk")),
    "far_reach": Quick(MIXERS_ONLY),
    "narrow": Quick(MIXERS_ONLY),
    "flops": Quick(EVERY),
    "edges": Quick(("linear",)),
}
