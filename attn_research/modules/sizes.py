"""The sizes of a model that its task sets."""

from typing import Literal, NamedTuple


class Sizes(NamedTuple):
    """The sizes of a model that its task sets; `tasks.Spec` explains each."""

    inputs: Literal["tokens", "values"]
    features: int
    outputs: int
    length: int
    causal: bool
    per_sequence: bool = False
    source_inputs: Literal["tokens", "values"] = "tokens"
    source_features: int = 0
    source_length: int = 0

    @property
    def source(self) -> "Sizes | None":
        """The sizes of the source sequence; None if the task has none."""
        if not self.source_features:
            return None
        size = self.source_features
        return Sizes(self.source_inputs, size, size, self.source_length, causal=False)
