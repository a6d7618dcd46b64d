"""The delta rule and its descendants: one recurrence in three forms."""

from attn_research.ops.delta.general import (
    generalized_delta_rule,
    generalized_delta_step,
)
from attn_research.ops.delta.rule import delta_rule, delta_start, delta_step

__all__ = [
    "delta_rule",
    "delta_start",
    "delta_step",
    "generalized_delta_rule",
    "generalized_delta_step",
]
