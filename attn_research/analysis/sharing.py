"""Functions of a restored model, compiled once for all models of the same config.

Members of a population, and a model before and after its training, differ only in
their parameters, which are data to one program.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from attn_research.checkpoint import Restored
from attn_research.config import Config
from attn_research.pure import Functional


class Frame(NamedTuple):
    """A restored model without its parameters: the static part of its programs."""

    config: Config
    init: Callable[..., Any]
    apply: Callable[..., Any]
    bind: Callable[..., Any]

    def filled(self, params: Any) -> Restored:
        """The model with these parameters, traced or not."""
        model = Functional(self.init, self.apply, self.bind, {})
        return Restored(self.config, {}, model, params, 0)


def shared(*static: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that compiles function(restored, ...), `static` arguments constant.

    The function may read all of a model but its hyperparameters, traits and step.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.partial(jax.jit, static_argnums=(0, *(n + 1 for n in static)))
        def program(frame: Frame, params: Any, *rest: Any) -> Any:
            return function(frame.filled(params), *rest)

        @functools.wraps(function)
        def run(restored: Restored, *rest: Any) -> Any:
            model = restored.model
            frame = Frame(restored.config, model.init, model.apply, model.bind)
            return program(frame, restored.params, *rest)

        return run

    return decorate
