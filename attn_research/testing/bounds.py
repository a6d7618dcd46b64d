"""The mixers of the package that need more room than others, and why."""

from typing import NamedTuple

from attn_research.testing.laws.case import Case


class Bounds(NamedTuple):
    """Where a mixer needs more room than others, and why; see `Case`."""

    why: str
    same: float = Case.same
    narrow: float = Case.narrow
    gradient: float = Case.gradient
    flat: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    flops: float = Case.flops
    selects: bool = False
    exact: bool = True


SELECTS = Bounds("What a query sees is selected by content.", selects=True)
LEARNED = Bounds(
    "The gradient of a decay sums over all tokens, and its terms cancel to a seventh "
    "of their size: 3.1e-6 and 2.0e-2 on `decay_odds`.",
    same=7e-6,
    narrow=4e-2,
)
SMALL = LEARNED._replace(
    why=f"{LEARNED.why} Without a normaliser the first outputs are small sums of terms "
    "that cancel: 0.13 in bfloat16 at first, less later.",
    narrow=0.3,
)
GATED = Bounds(
    "The gradients of the biases of gates and time steps sum over all tokens, and "
    "their terms cancel: 7.2e-2 on `log_rate`. The norm of the heads divides by "
    "(q . k) v of the first token, however small: 1.9e-6.",
    same=7e-6,
    narrow=0.1,
)
SOLVED = GATED._replace(
    why=f"{GATED.why} Its triangular system is solved by products, in both directions: "
    "1.1e-5 in float32. Of several gates or channels there are more terms: 8.6e-6.",
    same=2e-5,
    gradient=2e-5,
)
KINK = Bounds(
    "g of minGRU has a kink at 0, and the gradient of a number that bfloat16 rounds "
    "across it jumps: 5.4e-2.",
    narrow=0.1,
)
FORGETS = Bounds(
    "The gradient of a forget gate sums over all pairs that it lies between; of both "
    "sides these nearly cancel: 3.9e-6, 1.1e-5 in float32, 8.4e-2 in bfloat16. The "
    "attention of the library has no forget gates.",
    same=7e-6,
    narrow=0.1,
    gradient=2e-5,
    lacks=("library", "splash"),
)
# By the spec of a case, or by the name of its mixer.
BOUNDS = {
    "window(window=1,groups=1,positions=learned)": Bounds(
        "The softmax of one key is one, whatever the query. A block of queries meets a "
        "block of keys, of which this window admits one: six times the flops.",
        flat=("query", "key", "table_ND"),
        flops=8.0,
    ),
    "dense(heads=2,positions=t5,buckets=8,distance=8,qk_norm=true,cap=2,sinks=true)": (
        Bounds(
            "The gradient of a sink sums over all queries: 1.0e-6, and 2.2e-6 by "
            "another compiler. The library's attention refuses caps, biases and sinks.",
            same=5e-6,
            lacks=("library", "splash"),
        )
    ),
    "window(window=4,heads=2,positions=alibi,sinks=true,cap=1)": Bounds(
        "The gradient of a sink sums over all queries: 1.0e-6.", same=5e-6
    ),
    "dense(heads=2,groups=1,forget=true)": FORGETS,
    "window(window=4,heads=2,positions=alibi,cap=2,sinks=true,forget=true)": FORGETS,
    "differential": Bounds(
        "The gradient of its shares sums over all tokens and heads, and its terms "
        "cancel to a hundredth of other gradients: 1.7e-5. What the norm divides by is "
        "a difference of softmaxes: 3.2e-2 in bfloat16.",
        same=3e-5,
        narrow=6e-2,
    ),
    "linear(heads=2,feature=identity,normalize=false,decay=scalar)": SMALL,
    "gla(key_size=3,rank=2,gate=none)": SMALL._replace(flops=8.0),
    "linear(heads=2,feature=hedgehog,decay=input)": LEARNED,
    "linear(heads=2,decay=scalar)": LEARNED._replace(
        why=f"{LEARNED.why} With a normaliser they cancel further: 1.3e-5 after 5 "
        "tokens in chunks of 4.",
        gradient=2e-5,
    ),
    "retnet": LEARNED,
    "gla": LEARNED._replace(
        why=f"{LEARNED.why} A decay per feature takes a product for each halving of a "
        "chunk, where the cost counts one: six times the flops.",
        flops=8.0,
    ),
    "hgrn2": Bounds(
        "A decay per channel takes a product for each halving of a chunk, where the "
        "cost counts one: 5.5 times the flops.",
        flops=8.0,
    ),
    "mamba2": LEARNED,
    "delta": LEARNED,
    "gated_delta": SOLVED,
    "kda": SOLVED,
    "gdn2": SOLVED,
    "comba": SOLVED,
    "rwkv6": GATED._replace(
        why="The norm of the heads divides by (r . k) v of the first tokens, however "
        "small: 7.7e-6, and 1.4e-5 in chunks of 4.",
        same=2e-5,
        gradient=2e-5,
    ),
    "rwkv7": SOLVED,
    "deltaproduct": SOLVED,
    "gated_deltaproduct": SOLVED,
    "mlstm": GATED,
    "nystrom": Bounds(
        "The steps of an inverse repeat the rounding of their products: 1.2e-6.",
        same=2e-6,
    ),
    "s5": Bounds(
        "In the gradient of a time step what decays more and what is written more "
        "nearly cancel: 3.3e-6 and 5.6e-2.",
        same=7e-6,
        narrow=0.1,
    ),
    "mingru": KINK,
    "minlstm": KINK,
    "hyena": Bounds(
        "Six products in a row: 2.3e-2; packed tokens are summed in other blocks: "
        "1.0e-6, and 2.3e-6 at order 3.",
        same=5e-6,
        narrow=4e-2,
    ),
    "s4d": Bounds(
        "Packed tokens are summed in other blocks: 1.1e-6 with the inverse "
        "frequencies, the largest. The cost is that of the recurrence, but the program "
        "is a convolution: its FLOPs are a thirteenth of that at 17 tokens, and seven "
        "times that at 300 tokens with few states.",
        same=3e-6,
        flops=15.0,
    ),
    "topk": SELECTS,
    "moba": SELECTS,
    "reformer": SELECTS._replace(
        why=f"{SELECTS.why} A later token moves the order in which it is summed.",
        exact=False,
    ),
}
