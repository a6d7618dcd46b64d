"""Plugins for tests: a good one as text, and tables that are as before afterwards."""

import contextlib
import sys
from collections.abc import Iterator

from attn_research import hypers, losses, modules, plugins, tasks  # noqa: F401
from attn_research.report import inside  # noqa: F401

GOOD = '''
import jax.numpy as jnp
import optax
from attn_research.analysis.subject import Subject
from attn_research.losses import Score
from attn_research.modules.attention import Attention
from attn_research.modules.attention_kinds import DenseOptions
from attn_research.modules.contract import preset
from attn_research.options import declared, option
from attn_research.report.inside import Analysis
from attn_research.tasks.contract import Batch, Draws, Spec, no_arrays


@declared
class Echo:
    """Name each token one position late."""

    length: int = option(8, "Tokens in a sequence.", low=2, high=64)
    symbols: int = option(6, "Number of symbols.", low=2, high=64)

    @property
    def spec(self):
        return Spec("tokens", self.symbols, "token", self.symbols, self.length, True,
                    self.length - 1, ("second", "accuracy", "loss"), noted=False)

    arrays = no_arrays

    def batch(self, key, split, size, arrays=()):
        draws = Draws(key, split, size, self.length)
        inputs = draws.integers(self.length, self.symbols)
        counts = jnp.broadcast_to(jnp.arange(self.length)[None] > 0, inputs.shape)
        before = jnp.roll(inputs, 1, axis=1)
        return Batch(inputs, before, counts.astype(jnp.float32),
                     jnp.ones_like(inputs), jnp.where(counts, 1, -1))


def second(outputs, targets):
    """Whether the answer is among the two likeliest."""
    right = jnp.take_along_axis(outputs, targets[..., None], axis=-1)
    return jnp.sum((outputs > right).astype(jnp.float32), axis=-1) < 2


def show(subject: Subject):
    return []


MIXERS = {"mine": preset(Attention, DenseOptions, heads=2)}
TASKS = {"echo": Echo}
METRICS = {"second": Score("token", second)}
OPTIMIZERS = {"sign": lambda hypers: optax.scale_by_sign()}
ANALYSES = {"nothing": Analysis("It shows nothing.", show)}
'''


@contextlib.contextmanager
def own_tables() -> Iterator[None]:
    """The tables of the package as they are now; what is loaded inside is forgotten."""
    tables = {kind: dict(entries) for kind, (entries, _) in plugins._TABLES.items()}
    loaded = dict(plugins._LOADED)
    try:
        yield
    finally:
        forget(tables, loaded)


def forget(tables: dict, loaded: dict) -> None:
    for kind, (entries, _) in plugins._TABLES.items():
        entries.clear()
        entries.update(tables[kind])
    plugins._LOADED.clear()
    plugins._LOADED.update(loaded)
    for name in [n for n in sys.modules if n.startswith("_attn_research_plugin_")]:
        del sys.modules[name]
