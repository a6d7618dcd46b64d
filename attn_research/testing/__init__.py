"""The laws of mixers and tasks as a kit: for yours, the ones that ours are tested by.

    @pytest.mark.parametrize("law", testing.mixer_laws())
    def test_my_mixer(law):
        testing.check_mixer("mine(decay=0.9)", law)

    @pytest.mark.parametrize("law", testing.task_laws())
    def test_my_task(law):
        testing.check_task("my_task(length=32)", law)

`attn-research check mine --plugin=my_mixers.py` does the same on the command line. The
kit needs no package beside those of `attn_research`, one device, and no flags.
"""

from typing import Any

from attn_research.modules.contract import MixerType
from attn_research.tasks.contract import Task
from attn_research.testing import mixers, tasks, verdict
from attn_research.testing.mixers import mixer_laws
from attn_research.testing.tasks import task_laws
from attn_research.testing.verdict import LawBroken

__all__ = ["LawBroken", "check_mixer", "check_task", "mixer_laws", "task_laws"]


def check_mixer(mixer: str | MixerType, *laws: str, **room: Any) -> None:
    """Raises `LawBroken` unless a mixer keeps the `laws`, by default all.

    `mixer` is a spec such as `"mine(decay=0.9)"` or a class. Every direction that the
    mixer has is judged; the law `drawn` also draws its options. The message names each
    broken law and the case with the fewest options that breaks it.

    `room` gives a mixer more than the usual bounds: `same`, `gradient` and `narrow` are
    relative errors (of the order of sums, of float32 and of bfloat16 gradients),
    `flops` the factor by which its cost may be off; `selects=True` is for a mixer that
    chooses by content what it sees, `flat=("query",)` names parameters without a
    gradient (see `testing.laws.case.Case`). Raises `BadInput` if the mixer or a law is
    unknown, or the mixer cannot be built.
    """
    verdict.require(mixers.judge(mixer, laws, **room))


def check_task(task: str | Task, *laws: str) -> None:
    """Raises `LawBroken` unless a task keeps the `laws`, by default all.

    `task` is a spec such as `"my_task(length=32)"` or a task. Raises `BadInput` if the
    task or a law is unknown, or `task` is none.
    """
    verdict.require(tasks.judge(task, laws))
