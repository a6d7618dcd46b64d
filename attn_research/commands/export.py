"""Writes one trained model as one file, which `attn_research.load` reads.

    attn-research export runs/first --member=best --out=first.safetensors
    attn-research export runs/recall --mixer=dense --out=dense.safetensors

The file holds the parameters, and in its metadata the config, the sizes, the hypers and
the metrics. It needs the package safetensors: pip install 'attn_research[export]'.
"""

from attn_research import commands, flags
from attn_research.options import BadInput, convert, declared, option

TAKES, MANY = "directory of a run or a study", False


@declared
class Options:
    """Which model is written, and where."""

    out: str | None = option(None, "File to write; its name must end in .safetensors.")
    replace: bool = option(False, "Write over another file of that name.")
    member: str = option("best", "Member of the population by number, or best.")
    step: int | None = option(None, "Step that was kept; none: the newest.", low=0)
    mixer: str | None = option(None, "Pattern that chooses a cell of a study.")
    verbose: bool = option(False, "Also show what libraries log and warn of.")


def define() -> None:
    """Declares the flags."""
    flags.define(Options)


def run(path: str) -> int:
    """Writes the file and says what it holds."""
    options = flags.given(Options)
    if not options.out:
        raise BadInput("--out is missing; it must be the file to write")
    best = options.member == "best"
    member = "best" if best else convert(options.member, int, "--member")
    commands.plug()
    from attn_research.checkpoint import portable
    from attn_research.door import finding

    directory = finding.directory(path, options.mixer)
    written = portable.export(
        directory, options.out, member, options.step, options.replace
    )
    print(
        f"{written.path.resolve()}: member {written.member} of {directory} at step "
        f"{written.step}, {written.bytes:,} bytes."
    )
    return 0
