"""The cells that a sweep's flags select: an experiment, its changes, a share."""

import dataclasses
import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from attn_research.config import Population, edit
from attn_research.host.layout import STUDY
from attn_research.options import BadInput, unknown
from attn_research.options.specs import split
from attn_research.studies.described import read_study
from attn_research.studies.study import Cell, Study, cells, variant


def experiments(folder: Path) -> list[str]:
    """The modules in a folder of experiments; those in a group are `group/name`."""
    paths = sorted([*folder.glob("*.py"), *folder.glob("*/*.py")])
    names = [path.relative_to(folder).with_suffix("").parts for path in paths]
    return ["/".join(name) for name in names if not any(p[0] in "_." for p in name)]


def experiment(folder: Path, name: str | None, size: str) -> Study:
    """The study of one size in the module `name` of a folder of experiments.

    A name in a group is spelled `group/name` or `group.name`. Raises `BadInput` if the
    name or the size is unknown.
    """
    known = experiments(folder)
    if name is None:
        raise BadInput(f"--experiment is missing (known: {', '.join(known)})")
    spelled = name.replace(".", "/")
    if spelled not in known:
        raise unknown("experiment", name, known)
    if str(folder.parent) not in sys.path:
        sys.path.insert(0, str(folder.parent))
    module = ".".join([folder.name, *spelled.split("/")])
    studies = importlib.import_module(module).STUDIES
    if size not in studies:
        raise unknown(f"size of the experiment {name}", size, studies)
    return studies[size]


def named(folder: Path, name: str, size: str) -> Study | None:
    """The study of that name, in any group; None if it does not exist."""
    matches = [path for path in experiments(folder) if path.split("/")[-1] == name]
    return experiment(folder, matches[0], size) if matches else None


def axis(text: str) -> tuple[str, list[str]]:
    """`a.b=1,"x,y"` as `("a.b", ["1", "x,y"])`."""
    name, equals, values = text.partition("=")
    name = name.strip()
    if not equals or not name or not values.strip():
        raise BadInput(f"--set is {text!r}; it must be FIELD=VALUE,VALUE,...")
    parts = [_unquoted(part) for part in split(values)]
    if "" in parts:
        raise BadInput(f"--set is {text!r}; one of its values is empty")
    if name in Population.__dataclass_fields__:
        raise BadInput(f"--set is {text!r}; it must be --{name}={values}")
    return name, parts


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def apply_flags(
    study: Study, axes: Sequence[str], population: Mapping[str, object]
) -> Study:
    """The study with the axes of `--set` and the population lists that are not None.

    An axis replaces the study's axis of that name, or is added as the last one.
    """
    chosen: dict[str, list[str]] = {}
    for text in axes:
        name, values = axis(text)
        if name in chosen:
            raise BadInput(f"--set gives {name!r} twice; its values must be one list")
        chosen[name] = values
    lists = {name: text for name, text in population.items() if text is not None}
    return variant(
        study,
        axes={**study.axes, **chosen},
        population=edit(study.population, lists),
    )


FRESH = 1000  # a seed that no study begins with


def confirming(study: Study) -> Study:
    """The study with fresh seeds, as many: those of its own plus 1,000."""
    seeds = tuple(seed + FRESH for seed in study.population.seed)
    population = dataclasses.replace(study.population, seed=seeds)
    return dataclasses.replace(study, population=population)


def require_apart(directory: Path, study: Study) -> None:
    """Raises `BadInput` if a directory holds the runs that fresh seeds confirm."""
    if not (directory / STUDY).exists():
        return
    known = read_study(directory)["registered"].get("population", {}).get("seed")
    if known != list(study.population.seed):
        raise BadInput(
            f"{directory} has the seeds {known}; --confirm must have a directory of "
            "its own"
        )


def share(text: str | None) -> slice:
    """The slice that `i/n` selects: every n-th cell from the i-th on; None: all."""
    if text is None:
        return slice(None)
    first, _, every = text.partition("/")
    if first.isdecimal() and every.isdecimal() and 1 <= int(first) <= int(every):
        return slice(int(first) - 1, None, int(every))
    raise BadInput(
        f"--only is {text!r}; it must be i/n with i from 1 to n, such as 2/4"
    )


def resolved(study: Study) -> list[Cell]:
    """The cells with every option written out, so that no hash hides a default.

    Raises `BadInput` if a task, mixer or option is unknown.
    """
    from attn_research.training import program

    study.population.check()
    return [
        Cell(program.resolve(cell.config), cell.population) for cell in cells(study)
    ]
