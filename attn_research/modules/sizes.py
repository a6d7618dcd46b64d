"""What a task fixes of its model."""

from typing import Literal, NamedTuple


class Sizes(NamedTuple):
    """What the task fixes of a model; see `tasks.Spec` for the meaning of each."""

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
        """The sizes of the sequence that is read; None where there is one sequence."""
        if not self.source_features:
            return None
        size = self.source_features
        return Sizes(self.source_inputs, size, size, self.source_length, causal=False)
