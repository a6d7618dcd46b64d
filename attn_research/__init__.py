"""How well, and at what cost, does a sequence mixer carry information over a distance?

    import attn_research as ar

    mixer = ar.mixer("gated_delta(heads=4)", width=256, causal=True, rngs=nnx.Rngs(0))
    y_BTD = mixer(x_BTD, ar.segments(mask_BT))

    restored = ar.load("runs/first", member="best")
    logits_BTV = restored.model.apply(restored.params, tokens_BT)

Array names end in their axes: `B` batch, `T` query time, `S` source time, `D` model
width, `H` heads, `G` key/value groups, `K` query/key head size, `E` value head size,
`F` MLP width or input features, `M` feature-map size, `C` chunk length, `W` window,
`V` vocabulary, `P` population member, `N` layers or state size, `U` steps per dispatch.

Every name below is imported when it is first used, so that `import attn_research` is
cheap.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attn_research import analysis, ops, testing
    from attn_research.checkpoint import Restored
    from attn_research.config import Config, Population
    from attn_research.door.building import mixer, model, task
    from attn_research.door.finding import load
    from attn_research.door.running import Run, scaled, train
    from attn_research.door.tables import curves, results
    from attn_research.modules import MIXERS
    from attn_research.modules.architectures import ARCHITECTURES
    from attn_research.modules.segments import segments
    from attn_research.options import BadInput
    from attn_research.pure import functional
    from attn_research.tasks import TASKS

_PUBLIC = {
    "ARCHITECTURES": "attn_research.modules.architectures",
    "BadInput": "attn_research.options",
    "Config": "attn_research.config",
    "MIXERS": "attn_research.modules",
    "Population": "attn_research.config",
    "Restored": "attn_research.checkpoint",
    "Run": "attn_research.door.running",
    "TASKS": "attn_research.tasks",
    "analysis": "attn_research.analysis",
    "curves": "attn_research.door.tables",
    "functional": "attn_research.pure",
    "load": "attn_research.door.finding",
    "mixer": "attn_research.door.building",
    "model": "attn_research.door.building",
    "ops": "attn_research.ops",
    "results": "attn_research.door.tables",
    "scaled": "attn_research.door.running",
    "segments": "attn_research.modules.segments",
    "task": "attn_research.door.building",
    "testing": "attn_research.testing",
    "train": "attn_research.door.running",
}
__all__ = [
    "ARCHITECTURES",
    "BadInput",
    "Config",
    "MIXERS",
    "Population",
    "Restored",
    "Run",
    "TASKS",
    "analysis",
    "curves",
    "functional",
    "load",
    "mixer",
    "model",
    "ops",
    "results",
    "scaled",
    "segments",
    "task",
    "testing",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_PUBLIC[name])
    return module if module.__name__ == f"{__name__}.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
