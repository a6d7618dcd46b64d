"""Linear attention: one sum over the past, with or without decay, in three forms."""

from attn_research.ops.linear.attention import (
    State,
    linear_attention,
    linear_start,
    linear_step,
)

__all__ = ["State", "linear_attention", "linear_start", "linear_step"]
