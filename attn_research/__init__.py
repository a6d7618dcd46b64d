"""How well, and at what cost, does a sequence mixer carry information over a distance?

    import attn_research as ar

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
    from attn_research import functional
    from attn_research.checkpoint import Restored, load
    from attn_research.modules import MIXERS
    from attn_research.tasks import TASKS

_PUBLIC = {
    "MIXERS": "attn_research.modules",
    "TASKS": "attn_research.tasks",
    "Restored": "attn_research.checkpoint",
    "functional": "attn_research.functional",
    "load": "attn_research.checkpoint",
}
__all__ = ["MIXERS", "TASKS", "Restored", "functional", "load"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_PUBLIC[name])
    return module if module.__name__ == f"{__name__}.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
