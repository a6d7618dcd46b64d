"""Imports point one way: a room knows only the rooms below it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "attn_research"

# What each room may import; everything may import itself.
LEAVES = {"options", "config", "functional", "losses", "durable", "study"}
GROUND = {"options", "config", "durable", "study"}
MODEL = {*LEAVES, "evaluate", "ops", "modules"}
RUN = {*MODEL, "hypers", "lock", "layout", "environment", "memory", "checkpoint"}
TRAIN = {*RUN, "tasks", "population", "outcome", "program", "interrupt", "progress"}
TRAIN |= {"transfer", "source"}
LAUNCH = {*TRAIN, "compiled", "flags", "train", "results", "store", "launch"}
ALLOWED = {
    "__init__": set(),
    "options": set(),
    "config": {"options"},
    "durable": {"options"},
    "functional": set(),
    "losses": set(),
    "evaluate": {"losses"},
    "study": {"options", "config"},
    "flags": {"options", "config"},
    "hypers": {"config", "functional"},
    "ops": set(),
    "modules": {"options", "config", "functional", "ops"},
    "tasks": {"options", "config", "losses", "ops", "durable", "lock"},
    "lock": GROUND,
    "layout": GROUND,
    "environment": GROUND,
    "memory": GROUND,
    "checkpoint": RUN,
    "interrupt": set(),
    "progress": set(),
    "population": set(),
    "outcome": {"evaluate", "hypers", "population", "tasks"},
    "transfer": {"config", "functional", "checkpoint"},
    "source": {*GROUND, "functional", "layout", "checkpoint", "transfer"},
    "program": {*MODEL, "hypers", "tasks", "population", "transfer", "source"},
    "text_metrics": set(),
    "pictures": {"modules"},
    "writing": {*MODEL, "tasks", "program", "pictures"},
    "decoding": {"functional", "losses", "tasks", "memory", "program", "text_metrics"}
    | {"pictures", "writing"},
    "interop": {"options", "config", "functional", "modules"},
    "match": {"options", "config", "modules", "program"},
    "compiled": {"config", "hypers", "memory", "population", "program"},
    "train": {*TRAIN, "compiled", "decoding", "flags"},
    "pretraining": {"options", "config", "tasks", "flags", "train"},
    "results": {*GROUND, "layout"},
    "store": {*RUN, "study", "results"},
    "launch": LAUNCH,
    "analysis": {*LAUNCH, "analysis"},
    "report": {*LAUNCH, "analysis", "report", "pictures"},
}
ONLY = {
    "flax": {"modules", "functional"},
    "orbax": {"checkpoint"},
    "tensorflow_datasets": {"tasks"},
    "matplotlib": {"report", "analysis"},
    "jinja2": {"report"},
}


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


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
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
                "collections", "dataclasses", "operator", "itertools", "inspect",
            }, f"{path} imports {module}; ops know arrays only"  # fmt: skip


def test_the_layering_has_no_cycle():
    seen: set[str] = set()
    left = {name: set(below) - {name} for name, below in ALLOWED.items()}
    while left:
        free = [name for name, below in left.items() if below <= seen]
        assert free, f"these rooms import each other: {sorted(left)}"
        seen |= set(free)
        for name in free:
            del left[name]


def test_the_package_imports_light():
    code = (
        "import sys, attn_research, attn_research.study, attn_research.flags\n"
        "heavy = {'jax', 'flax', 'orbax', 'matplotlib', 'tensorflow_datasets'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


def test_training_needs_no_drawing_and_no_data_sets():
    code = (
        "import sys, attn_research.train, attn_research.modules, attn_research.tasks\n"
        "import attn_research.tasks.data.packed, attn_research.tasks.data.prepare\n"
        "heavy = {'orbax', 'matplotlib', 'tensorflow_datasets', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"
