"""Which cells a sweep is asked for: an experiment, its changes, a share of it."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from attn_research.config import Population
from attn_research.options import BadInput, split, unknown
from attn_research.study import Cell, Study, cells, change


def experiments(folder: Path) -> list[str]:
    """The modules in a folder of experiments, those of a group as `group/name`."""
    found = sorted([*folder.glob("*.py"), *folder.glob("*/*.py")])
    parts = [path.relative_to(folder).with_suffix("").parts for path in found]
    return ["/".join(one) for one in parts if not any(p[0] in "_." for p in one)]


def experiment(folder: Path, name: str | None, size: str) -> Study:
    """The study of one size in the module `name` of the folder of experiments.

    A dot may stand for the slash of `group/name`.
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
    """The study of that name, in whichever group it is; None where there is none."""
    found = [one for one in experiments(folder) if one.split("/")[-1] == name]
    return experiment(folder, found[0], size) if found else None


def axis(text: str) -> tuple[str, list[str]]:
    """`a.b=1,"x,y"` as `("a.b", ["1", "x,y"])`."""
    name, equals, values = text.partition("=")
    name = name.strip()
    if not equals or not name or not values.strip():
        raise BadInput(f"--set is {text!r}; write FIELD=VALUE,VALUE,...")
    parts = [_unquoted(part) for part in split(values)]
    if "" in parts:
        raise BadInput(f"--set is {text!r}; one of its values is empty")
    if name in Population.__dataclass_fields__:
        raise BadInput(f"--set is {text!r}; write --{name}={values}")
    return name, parts


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def changed(
    study: Study, axes: Sequence[str], population: Mapping[str, str | None]
) -> Study:
    """The study with the axes of `--set`, and the population lists that are given."""
    chosen: dict[str, list[str]] = {}
    for text in axes:
        name, values = axis(text)
        if name in chosen:
            raise BadInput(f"--set gives {name!r} twice; write its values in one list")
        chosen[name] = values
    lists = {name: text for name, text in population.items() if text is not None}
    return change(study, chosen, lists)


def share(text: str | None) -> slice:
    """Every n-th cell from the i-th on, of `i/n`; all of them without a text."""
    if text is None:
        return slice(None)
    first, _, every = text.partition("/")
    if first.isdecimal() and every.isdecimal() and 1 <= int(first) <= int(every):
        return slice(int(first) - 1, None, int(every))
    raise BadInput(f"--only is {text!r}; write i/n with i from 1 to n, such as 2/4")


def resolved(study: Study) -> list[Cell]:
    """The cells with every option written out, so that a hash hides no default.

    Raises `BadInput` for what no task or mixer knows, before anything runs.
    """
    from attn_research import program

    return [
        Cell(program.resolve(cell.config), cell.population) for cell in cells(study)
    ]
