"""What `sweep` asks of a cluster and of its cells' commands, from its flags."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attn_research.host import durable
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


def fitting(options: Any, ids: Sequence[str]) -> list[str]:
    """The cells that a compiler found to fit, all if none was asked; says which do not.

    `--ahead` is the JSON that `compile --out` wrote. Raises `BadInput` if it is not, or
    lacks a cell.
    """
    if options.ahead is None:
        return list(ids)
    known = _compiled(options.ahead)
    if missing := [id for id in ids if id not in known]:
        raise BadInput(
            f"{options.ahead} says nothing of cell {missing[0]}; it must be what "
            "`compile --out` wrote of the same cells"
        )
    for id in ids:
        if known[id]:
            print(f"{id} does not fit and is not queued: {known[id]}")
    return [id for id in ids if not known[id]]


def _compiled(path: str) -> dict[str, str]:
    """Cell -> why it does not fit, empty if it does."""
    wrong = f"{path} must be a JSON file that `compile --out` wrote"
    try:
        rows = durable.read_json(path)["cells"]
        known = {row["cell"]: str(row["refused"]) for row in rows}
    except durable.Damaged as error:
        raise BadInput(f"{error}; {wrong}") from error
    except (KeyError, TypeError) as error:
        raise BadInput(wrong) from error
    if not all(isinstance(id, str) for id in known):
        raise BadInput(wrong)
    return known


def require(options: Any) -> None:
    """Raises `BadInput` if `--submit` cannot be done, before anything is written."""
    if options.submit:
        from attn_research.launch import slurm

        slurm.options(options.slurm)
        if options.ahead is not None:
            _compiled(options.ahead)
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
