"""What `sweep` asks of a cluster and of its cells' commands, from its flags."""

from typing import TYPE_CHECKING, Any

from attn_research.options import BadInput

if TYPE_CHECKING:
    from attn_research.launch import slurm


def more(options: Any) -> list[str]:
    """The flags that the command of each cell has."""
    from attn_research.launch import command

    track = options.track or ()
    return command.more(options.allow_inexact_resume, options.verbose, track)


def request(options: Any, name: str) -> "slurm.Request":
    """How the cells of the study of this name are to be queued."""
    from attn_research.launch import slurm

    return slurm.Request(
        name,
        slurm.options(options.slurm),
        options.array_limit,
        options.grace,
        more(options),
    )


def require(options: Any) -> None:
    """Raises `BadInput` if `--submit` cannot be done, before anything is written."""
    if options.submit:
        from attn_research.launch import slurm

        slurm.options(options.slurm)
        if not options.dry_run:
            slurm.find("sbatch")


def queue(directory: str) -> dict[str, str] | None:
    """What a cluster says of the cells of a study, None if none of them is queued."""
    from attn_research.launch import slurm

    try:
        return slurm.words(slurm.queue(directory)) or None
    except BadInput as error:
        print(f"Of the queue nothing is known: {error}.")
        return None
