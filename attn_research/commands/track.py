"""Shows the curves of a run, or of all cells of a study, in TensorBoard or wandb.

    attn-research track runs/recall --track=tensorboard
    tensorboard --logdir runs/recall/tensorboard

Reads what was logged: the runs may have ended, and go on unchanged if they have not.
What an earlier call wrote is written anew. wandb's files stay on this machine (`wandb
sync` sends them) unless $WANDB_MODE is online. `train --track` and `sweep --track` do
the same while they run.
"""

from typing import Literal

from attn_research import commands, flags
from attn_research.host import layout
from attn_research.host.exits import DONE, FAILED
from attn_research.options import BadInput, declared, option
from attn_research.studies import sinks

TAKES, MANY = "directory of a run or a study", False


@declared
class Options:
    """Where the curves are shown."""

    track: tuple[Literal["tensorboard", "wandb"], ...] = option(
        ("tensorboard",), "tensorboard, wandb, or both."
    )
    verbose: bool = option(False, "Also show what libraries log and warn of.")


def define() -> None:
    """Declares the flags."""
    flags.define(Options)


def run(path: str) -> int:
    """Writes the curves of every run that has any, and says where they are."""
    options = flags.given(Options)
    sinks.require(options.track)
    commands.plug()
    from attn_research.door import finding
    from attn_research.studies import tracking

    found, damaged = finding.runs(path)
    for error in damaged:
        print(f"{error}; it is left out")
    logged = [one for one in found if (one.directory / layout.METRICS).exists()]
    if not logged and not damaged:
        raise BadInput(f"{path} has logged nothing yet; a run must have been evaluated")
    failed = sum(tracking.write(one.directory, options.track) for one in logged)
    for name in options.track if logged else ():
        where = tracking.shown(logged[0].directory)[0].base / name
        print(f"{where}: {len(logged)} of {len(found) + len(damaged)} runs.")
    return FAILED if failed or damaged else DONE
