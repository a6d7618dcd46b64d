"""The texts of docs/ and of README: their links, their Python, what is generated."""

import json
import re
from pathlib import Path

import pytest

from attn_research import loop
from attn_research.config import Population, edit
from attn_research.host import layout
from attn_research.modules import MIXERS
from attn_research.options import explained
from attn_research.studies import store
from attn_research.studies.selection import resolved
from attn_research.studies.study import Study
from attn_research.tasks import TASKS
from docs.generated import experiments, markdown, mixers, ops, tasks
from tests.command import ROOT
from tests.door.finding_test import SMALL

PAGES = sorted((ROOT / "docs").rglob("*.md"))
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^(<!-- runs -->\n)?```python\n(.*?)^```", re.M | re.S)
# Pages that exist in the site alone.
MADE = {
    *(f"mixers/{name}.md" for name in MIXERS),
    *(f"tasks/{name}.md" for name in TASKS),
    *("changes.md", "contributing.md", "tutorials/tour.md", "recall_distance.svg"),
}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_readme_is_short_and_counts_right():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    assert f"{len(MIXERS)} mixers:" in text and f" {len(TASKS)} tasks:" in text


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_links_resolve(page):
    made = {(ROOT / "docs" / name).resolve() for name in MADE}
    for link in LINK.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.S)):
        assert not link.startswith(("http:", "https:", "/")), link
        place, _, anchor = link.partition("#")
        there = (page.parent / place).resolve() if place else page
        within = ROOT / "docs" in page.parents
        assert there.exists() or (within and there in made), f"{link} in {page.name}"
        if anchor and there.exists():
            assert anchor in anchors(there.read_text()), f"{link} in {page.name}"


def anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", text, re.M)
    plain = [re.sub(r"[^\w\s-]", "", head).strip().lower() for head in heads]
    return {re.sub(r"[\s]+", "-", head) for head in plain}


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_a_page_names_no_place_of_a_machine(page):
    assert not re.search(r"/(home/(?!me/)|(root|work|tmp)/)", page.read_text())


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_python_is_valid(page):
    text = page.read_text()
    blocks = BLOCK.findall(text)
    assert len(blocks) == text.count("```python\n")
    for _, block in blocks:
        compile(block, page.name, "exec")


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    """Where the commands of the pages have left runs/a and runs/recall, made small."""
    here = tmp_path_factory.mktemp("docs")
    task = "recall(length=64,pairs=2,vocabulary=16)"
    study = Study(
        name="small",
        question="Does it run?",
        claim="It does.",
        base=edit(SMALL, {"task": task}),
        axes={"model.pattern": ("dense", "conv")},
        population=Population(),
    )
    made = resolved(study)
    store.open_study(here / "runs" / "recall", study, made)
    for cell in made:
        place = store.place(here / "runs" / "recall", cell.id)
        loop.run(cell.config, cell.population, place)
    (here / "runs" / "a").symlink_to(place)
    assert (here / "runs" / "a" / layout.RESULT).exists()
    return here


def test_python_of_readme_runs(ran, monkeypatch):
    monkeypatch.chdir(ran)
    blocks = BLOCK.findall((ROOT / "README.md").read_text())
    assert len(blocks) == 2
    for _, block in blocks:
        exec(compile(block, "README.md", "exec"), {"__name__": "pasted"})


def test_the_pages_run_every_public_name():
    text = "".join(
        block
        for page in WRITTEN
        for marked, block in BLOCK.findall(page.read_text())
        if marked or page.name == "README.md"
    )
    for name in ("load", "results", "curves", "train", "scaled", "mixer", "segments",
                 "model", "task", "functional", "ops"):  # fmt: skip
        assert f"ar.{name}" in text, name


def runnable() -> list[Path]:
    return [page for page in PAGES if "<!-- runs -->" in page.read_text()]


@pytest.mark.slow
@pytest.mark.parametrize("page", runnable(), ids=name_of)
def test_python_that_is_marked_runs(page, ran, monkeypatch):
    """The blocks of a page, one after another, where runs/a and runs/recall are."""
    monkeypatch.chdir(ran)
    given: dict[str, object] = {"__name__": "pasted"}
    for marked, block in BLOCK.findall(page.read_text()):
        if marked:
            exec(compile(block, page.name, "exec"), given)
    assert len(given) > 2


def names(table: object) -> list[str]:
    """The options of an entry, as its help lists them."""
    return re.findall(r"^  (\w+): ", explained(table), re.M)


@pytest.mark.parametrize("name", MIXERS)
def test_the_page_of_a_mixer_has_every_option_and_its_row(name):
    row = mixers.about()[name]
    page = mixers.page(name, row, [])
    assert page.startswith(f"# {name}\n") and row["source"] in page
    for option in names(MIXERS[name].Options):
        assert f"| `{option}` | `" in page, option


@pytest.mark.parametrize("name", TASKS)
def test_the_page_of_a_task_has_every_option_and_its_family(name):
    family = tasks.about()[name]
    page = tasks.page(name, family)
    assert page.startswith(f"# {name}\n") and family in page
    assert "metrics, the headline first" in page or "must be prepared" in page
    for option in names(TASKS[name]):
        assert f"| `{option}` | `" in page, option


def test_costs_are_those_of_a_mixer_that_is_built():
    from flax import nnx

    import attn_research as ar

    mixer = ar.mixer("gla", width=mixers.WIDTH, causal=True, rngs=nnx.Rngs(0))
    told = dict(mixers.costs("gla"))
    assert told == {length: mixer.cost(length) for length in mixers.LENGTHS}


def test_the_indices_have_every_mixer_and_task_once():
    for index, known in ((mixers.INDEX, MIXERS), (tasks.INDEX, TASKS)):
        linked = re.findall(r"\[`(\w+)`\]\((\w+)\.md\)", index.read_text())
        assert sorted(linked) == sorted((name, name) for name in known)


def test_the_ledger_has_every_row_and_every_number():
    page = experiments.ledger()
    claims = list((ROOT / "experiments" / "claims").glob("*.py"))
    assert page.count("\n### ") == len(experiments.rows()) == len(claims) - 1
    for row in experiments.rows():
        for part in row[2].split("<br>"):
            found = experiments._expectation(part)
            if found is None:  # what has changed since the study began
                assert part.strip().endswith(".") and "when the study began" in part
                continue
            said, _, _, holds = found
            assert holds.split()[0] in ("yes", "no", "undecided") and said


def test_readme_and_the_site_count_the_verdicts_of_the_ledger():
    text = (experiments.FOLDER / "claims" / "LEDGER.md").read_text()
    (counted,) = re.findall(r"^(\d+ claims: .*?)\.", text, re.M)
    assert counted in (ROOT / "README.md").read_text()
    for part in counted.partition(": ")[2].split(", "):
        assert part in experiments.ledger()


def test_the_page_of_the_experiments_has_each():
    page = experiments.listed()
    for path in experiments.files(experiments.FOLDER):
        assert f"### {path.stem}\n" in page


def test_the_page_of_the_ops_has_each_with_what_it_takes():
    page = ops.pages()["ops.md"]
    from attn_research import ops as public

    for name in public.__all__:
        assert f"\n## {name}\n" in page
    assert "| `q_BTHK` | queries" in page


def test_a_page_without_its_mark_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(markdown, "DOCS", tmp_path)
    (tmp_path / "a.md").write_text("No mark.")
    with pytest.raises(ValueError, match="0 marks"):
        markdown.filled("a.md", "text")


def test_the_navigation_has_every_page():
    text = (ROOT / "mkdocs.yml").read_text()
    for page in PAGES:
        assert f"{page.relative_to(ROOT / 'docs')}\n" in text, page


def test_what_the_notebook_drew_is_in_its_page():
    from docs.generated import notebook

    pages = notebook.pages()
    drawn = [name for name in pages if name.endswith(".png")]
    cells = json.loads(notebook.TOUR.read_text())["cells"]
    assert len(drawn) == 3 and all(pages[name][:4] == b"\x89PNG" for name in drawn)
    for cell in cells:
        assert "".join(cell["source"]).strip() in str(pages["tutorials/tour.md"])


def test_flags_in_a_text_are_not_broken():
    flag = '<span class="flag">--train.steps</span>'
    text = "<p><code>--train.steps=3</code> or <code>a--b</code></p>"
    assert markdown.unbroken(text) == text.replace("--train.steps", flag)
    # Over the end of a line, in a block, but not in the name of an element.
    two = '<code>train\n--train.steps=3</code><pre><code><a id="x--y">--train.steps</a>'
    two += "</code></pre>"
    assert markdown.unbroken(two) == two.replace("--train.steps", flag)
    assert markdown.unbroken("<p>--train.steps</p>") == "<p>--train.steps</p>"


def test_the_cells_of_a_wide_table_know_their_columns():
    def html(columns: int) -> str:
        head = "".join(f"<th>h{i}</th>\n" for i in range(columns))
        row = "".join("<td><code>a,b\\|c</code></td>\n" for _ in range(columns))
        return f"<table>\n<thead>\n<tr>\n{head}</tr></thead>{row * 2}</table>"

    wide = markdown.labelled(html(3))
    labels = re.findall(r'<td data-label="(\w+)"><code>a,<wbr>b\|c</code></td>', wide)
    assert labels == ["h0", "h1", "h2"] * 2
    assert "data-label" not in markdown.labelled(html(2))
