"""Imports point one way: a room knows only the rooms below it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import PACKAGE, ROOT

# What each room may import; everything may import itself. The order is that of the
# floors: a room may only name rooms above it in this table.
TREES = {"trees", "options", "config", "pure", "plugins"}
HOST = {"options", "config", "host"}
MODEL = {*TREES, "ops", "modules"}
RUN = {*MODEL, "losses", "hypers", "host", "checkpoint", "transfer", "tasks"}
TRAIN = {*RUN, "training", "decoding", "flags"}
STUDY = {*TRAIN, "loop", "studies"}
ALLOWED = {
    "__init__": set(),
    "options": set(),
    "plugins": {"options"},
    "trees": set(),
    "losses": {"options", "plugins"},
    "ops": set(),
    "config": {"options"},
    "pure": {"trees"},
    "hypers": {"config", "pure", "plugins"},
    "host": HOST,
    "flags": HOST,
    "modules": MODEL,
    "tasks": {"options", "config", "losses", "ops", "host", "plugins"},
    "checkpoint": {*TREES, "hypers", "host", "modules"},
    "transfer": {*TREES, "host", "checkpoint"},
    "training": RUN,
    "decoding": {*RUN, "training"},
    "loop": TRAIN,
    "studies": {*RUN, "training"},
    "door": STUDY,
    "launch": STUDY,
    "analysis": {*TRAIN, "studies"},
    "report": {*TRAIN, "studies", "analysis"},
    "testing": {*MODEL, "tasks"},
    "commands": {*STUDY, "door", "launch", "analysis", "report", "testing"},
}
ONLY = {
    "flax": {"modules", "pure", "door", "testing"},
    "orbax": {"checkpoint"},
    "tensorflow_datasets": {"tasks"},
    "matplotlib": {"report", "analysis"},
    "jinja2": {"report"},
}
# The measure of the house: a stranger holds so much in his head.
# Commands ask the door which run of a study is meant; sinks name the hypers of members;
# training names the platform by which ops choose their forms; `compile` asks training.
ROOMS, PAIRS, FILES, ROWS = 28, 170, 12, 25
OUTSIDE = ("scripts", "experiments", "benchmarks")


def sources():
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imported(path: Path):
    """Every dotted module that a file imports, lazily or not."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "attn_research":
                yield from (f"attn_research.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    here = room(path)
    assert here in ALLOWED, f"{here} has no place in the layering; give it one"
    for module in imported(path):
        package, *rest = module.split(".")
        if package == "attn_research" and rest and here != "__init__":
            assert rest[0] in ALLOWED[here] | {here}, f"{path} imports {module}"
        if package in ONLY:
            assert here in ONLY[package], f"{path} imports {package}"
        if package == "tensorflow_datasets":
            assert path == PACKAGE / "tasks" / "data" / "builder.py"
        if here == "ops":
            assert package in {
                "attn_research", "jax", "numpy", "math", "functools", "typing",
                "collections", "importlib", "dataclasses", "operator", "itertools",
                "inspect", "textwrap",
            }, f"{path} imports {module}; ops know arrays only"  # fmt: skip


def test_the_layering_has_no_cycle():
    """Each row names only rows before it."""
    seen: set[str] = set()
    for name, below in ALLOWED.items():
        assert below - {name} <= seen, f"{name} imports upward: {below - seen}"
        seen.add(name)


def test_every_folder_with_code_is_a_package():
    """A folder without `__init__.py` is in the checkout and in no wheel."""
    for path in sources():
        assert (path.parent / "__init__.py").exists(), f"{path.parent} is no package"


def pairs() -> set[tuple[str, str]]:
    """(a, b) for every room a of which a file imports the room b."""
    found = set()
    files = [(room(path), path) for path in sources()]
    files += [(name, p) for name in OUTSIDE for p in (ROOT / name).rglob("*.py")]
    known = {name for name, _ in files}
    for here, path in files:
        for module in imported(path):
            package, *rest = module.split(".")
            there = rest[0] if package == "attn_research" and rest else package
            if there in known - {here}:
                found.add((here, there))
    return found


def test_the_house_is_as_small_as_it_says(capsys):
    files = [path for path in PACKAGE.glob("*.py")]
    folders = {path.parent.relative_to(PACKAGE).parts[0] for path in sources()
               if path.parent != PACKAGE}  # fmt: skip
    rooms = len(files) + len(folders) + len(OUTSIDE)
    found = pairs()
    with capsys.disabled():
        print(
            f"\n{rooms} rooms ({len(files)} files at the root), {len(found)} pairs of "
            f"rooms of which one imports the other, {len(ALLOWED)} rows"
        )
    assert rooms <= ROOMS
    assert len(files) <= FILES
    assert len(found) <= PAIRS
    assert len(ALLOWED) <= ROWS


def test_the_package_imports_light():
    code = (
        "import sys, attn_research, attn_research.studies.study, attn_research.flags\n"
        "heavy = {'jax', 'flax', 'orbax', 'matplotlib', 'tensorflow_datasets'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


def test_training_needs_no_drawing_and_no_data_sets():
    code = (
        "import sys, attn_research.loop, attn_research.modules, attn_research.tasks\n"
        "import attn_research.tasks.data.packed, attn_research.tasks.data.prepare\n"
        "heavy = {'orbax', 'matplotlib', 'tensorflow_datasets', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"
