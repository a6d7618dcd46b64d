"""How many heads a mixer has, and how large they are."""

from typing import NamedTuple

from attn_research.options import BadInput


class HeadSizes(NamedTuple):
    """Query heads H, key/value heads G, head size K, with the defaults resolved."""

    heads: int
    groups: int
    head_size: int


def head_sizes(
    name: str, heads: int, groups: int, head_size: int, width: int
) -> HeadSizes:
    """`HeadSizes` from options: 0 groups are as many as `heads`, head size 0 is D / H.

    Raises BadInput if they do not divide.
    """
    groups = groups or heads
    if heads % groups:
        raise BadInput(
            f"{name} has {heads} heads in {groups} groups; the number of groups must "
            "divide the number of heads"
        )
    return HeadSizes(heads, groups, sized(name, heads, head_size, width))


def sized(name: str, heads: int, head_size: int, width: int) -> int:
    """The head size, by default the width over the heads; raises BadInput."""
    return head_size or divided(name, width, heads, otherwise="give head_size")


def divided(
    name: str, size: int, heads: int, what: str = "width", otherwise: str = ""
) -> int:
    """The part of each head; raises BadInput if the heads do not divide the size."""
    if size % heads:
        raise BadInput(
            f"{name} has the {what} {size} and {heads} heads; the number of heads must "
            f"divide the {what}" + (f", or {otherwise}" if otherwise else "")
        )
    return size // heads
