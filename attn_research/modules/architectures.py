"""Published architectures as patterns of mixers and fields of the model.

`--architecture=griffin` sets a pattern, the fields around it and, unless told
otherwise, one pass of the pattern as the depth. Sizes are those of the run: a width, a
depth or a vocabulary of a paper is no part of an architecture here. What a paper has
and these models lack is stated with each.
"""

from collections.abc import Mapping
from typing import NamedTuple

from attn_research.options import unknown


class Architecture(NamedTuple):
    """A pattern, the fields of `config.Model` beside it, and how near it is.

    `left_out` is what the paper has and this model has not, empty if there is nothing.
    Those that do not decode are encoders (`causal` is false).
    """

    pattern: str
    fields: Mapping[str, str | bool | float]
    source: str
    left_out: str = ""
    causal: bool = True


LLAMA = {"mlp": "swiglu", "mlp_ratio": 8 / 3, "norm": "rms"}
GELU = {"mlp": "gelu"}
ROPE = "dense(positions=rope)"

ARCHITECTURES: dict[str, Architecture] = {
    "transformer": Architecture(
        "dense(bias=true)",
        {"mlp": "gelu", "norm_at": "post", "positions": "sinusoid"},
        "Vaswani et al., 2017, arXiv:1706.03762",
        "ReLU in the MLP, for which GELU stands.",
    ),
    "transformer_pp": Architecture(
        ROPE, LLAMA, "Touvron et al., 2023, arXiv:2302.13971"
    ),
    "bert": Architecture(
        "dense(bias=true)",
        {"mlp": "gelu", "norm_at": "post", "positions": "learned", "embed_norm": True},
        "Devlin et al., 2018, arXiv:1810.04805",
        "Embeddings of segments.",
        causal=False,
    ),
    "longformer": Architecture(
        "longformer",
        {"mlp": "gelu", "norm_at": "post", "positions": "learned"},
        "Beltagy et al., 2020, arXiv:2004.05150",
        "Projections of their own for global tokens; windows that grow with depth.",
        causal=False,
    ),
    "gemma3": Architecture(
        ",".join(
            ["window(window=1024,groups=2,positions=rope,qk_norm=true)"] * 5
            + ["dense(groups=2,positions=rope,base=1000000,qk_norm=true)"]
        ),
        LLAMA,
        "Gemma Team, 2025, arXiv:2503.19786",
        "A norm after each branch beside the one before it; GELU in the gated MLP.",
    ),
    "gpt_oss": Architecture(
        "window(window=128,groups=2,positions=rope,sinks=true,bias=true),"
        "dense(groups=2,positions=rope,sinks=true,bias=true)",
        LLAMA,
        "OpenAI, 2025, arXiv:2508.10925",
        "Experts, for which one MLP stands; YaRN for contexts beyond the training.",
    ),
    "retnet": Architecture(
        "retnet", {"mlp": "gelu"}, "Sun et al., 2023, arXiv:2307.08621"
    ),
    "mamba": Architecture("mamba", {"norm": "rms"}, "Gu & Dao, 2023, arXiv:2312.00752"),
    "mamba2": Architecture(
        "mamba2", {"norm": "rms"}, "Dao & Gu, 2024, arXiv:2405.21060"
    ),
    "griffin": Architecture(
        "rglru,rglru,window(window=1024,groups=1,positions=rope)",
        {"mlp": "swiglu", "mlp_ratio": 3.0, "norm": "rms"},
        "De et al., 2024, arXiv:2402.19427",
        "GELU in the gated MLP, for which SiLU stands.",
    ),
    "samba": Architecture(
        "mamba,window(window=2048,positions=rope)",
        LLAMA,
        "Ren et al., 2024, arXiv:2406.07522",
    ),
    "jamba": Architecture(
        "mamba,mamba,mamba,mamba,dense(groups=2),mamba,mamba,mamba",
        LLAMA,
        "Lieber et al., 2024, arXiv:2403.19887",
        "Experts in every second MLP; norms inside Mamba.",
    ),
    "nemotron_h": Architecture(
        "mamba2,mamba2,mamba2,dense(groups=2),mamba2,mamba2,mamba2",
        {"mlp": "gelu", "norm": "rms"},
        "NVIDIA, 2025, arXiv:2504.03624",
        "MLPs as layers of their own, with squared ReLU; the places of attention are "
        "not evenly spaced in the paper.",
    ),
    "falcon_h1": Architecture(
        "dense(groups=2,positions=rope,base=100000000000)|mamba2",
        LLAMA,
        "Zuo et al., 2025, arXiv:2507.22448",
        "Different numbers of heads of both; multipliers of each branch. The outputs "
        "are averaged, in the paper summed.",
    ),
    "hymba": Architecture(
        "window(window=1024,groups=2,positions=rope)|mamba",
        LLAMA,
        "Dong et al., 2024, arXiv:2411.13676",
        "Meta tokens, shared keys and values, full attention in three layers, a norm "
        "and a scale of each head's output.",
    ),
    "xlstm": Architecture(
        "mlstm,mlstm,mlstm,mlstm,mlstm,mlstm,mlstm,slstm",
        {},
        "Beck et al., 2024, arXiv:2405.04517",
        "The gated MLP and the convolution of the sLSTM block.",
    ),
    "hyena": Architecture("hyena", GELU, "Poli et al., 2023, arXiv:2302.10866"),
    "striped_hyena": Architecture(
        "hyena,dense(groups=2,positions=rope)",
        LLAMA,
        "Poli et al., 2023, together.ai/blog/stripedhyena-7b",
        "Filters that are sums of exponentials, for which implicit ones stand.",
    ),
    "based": Architecture(
        "baseconv(filter=short),based,window(window=64,positions=rope)",
        LLAMA,
        "Arora et al., 2024, arXiv:2402.18668",
        "The ratio of the three kinds of layers differs between its models.",
    ),
    "gated_deltanet": Architecture(
        "gated_delta",
        LLAMA,
        "Yang et al., 2024, arXiv:2412.06464",
    ),
    "gated_deltanet_h1": Architecture(
        "gated_delta,window(window=2048,positions=rope)",
        LLAMA,
        "Yang et al., 2024, arXiv:2412.06464",
    ),
    "olmo_hybrid": Architecture(
        "gated_delta(negative=true),gated_delta(negative=true),"
        "gated_delta(negative=true),dense(positions=rope,qk_norm=true)",
        LLAMA,
        "OLMo Team, 2026, the configuration olmo_hybrid of transformers 5.24",
        "A norm after each branch of attention, in place of the one before it.",
    ),
    "qwen3_next": Architecture(
        "gated_delta,gated_delta,gated_delta,"
        "dense(groups=2,positions=rope,share=0.25,qk_norm=true,gate=channel)",
        LLAMA,
        "Qwen Team, 2025, the configuration qwen3_next of transformers 5.24",
        "Experts, for which one MLP stands; several tokens predicted at once.",
    ),
    "kimi_linear": Architecture(
        "kda,kda,kda,mla",
        LLAMA,
        "Kimi Team, 2025, arXiv:2510.26692",
        "Latent attention without positions, for which one with a rotary key stands; "
        "experts.",
    ),
    "deepseek_v2": Architecture(
        "mla",
        LLAMA,
        "DeepSeek-AI, 2024, arXiv:2405.04434",
        "Experts, for which one MLP stands.",
    ),
    "fox": Architecture(
        "dense(forget=true)",
        LLAMA,
        "Lin et al., 2025, arXiv:2503.02130",
        "What its Pro block adds: output gates, norms of queries, keys and outputs, "
        "shifts of keys and values.",
    ),
    "hgrn2": Architecture(
        "hgrn2",
        LLAMA,
        "Qin et al., 2024, arXiv:2404.07904",
        "Bounds of the gates that rise from layer to layer.",
    ),
    "rwkv6": Architecture(
        "rwkv6",
        {"mlp": "gelu", "embed_norm": True},
        "Peng et al., 2024, arXiv:2404.05892",
        "The shift of tokens, the gate and the squared ReLU of its MLP.",
    ),
    "rwkv7": Architecture(
        "rwkv7",
        {"mlp": "gelu", "embed_norm": True},
        "Peng et al., 2025, arXiv:2503.14456",
        "The shift of tokens and the squared ReLU of its MLP; values of the first "
        "layer in the later ones.",
    ),
    "conformer": Architecture(
        "dense+conv",
        {"mlp": "gelu", "macaron": True},
        "Gulati et al., 2020, arXiv:2005.08100",
        "Relative positions; batch norm in the convolution.",
        causal=False,
    ),
    "wavenet": Architecture(
        "dilated",
        {},
        "van den Oord et al., 2016, arXiv:1609.03499",
        "Skip connections from every layer to the output.",
    ),
}


def architecture(name: str) -> Architecture:
    """The architecture of that name; raises `BadInput`."""
    if name not in ARCHITECTURES:
        raise unknown("architecture", name, ARCHITECTURES)
    return ARCHITECTURES[name]
