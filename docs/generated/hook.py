"""What MkDocs calls: adds the generated pages to the site, and to its navigation."""

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))
# Files of the root that are pages too; the links in them are those of the root.
PAGES = {"changes.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
IMAGES = {"recall_distance.svg": "experiments/recall_distance.svg"}


def on_files(files: Files, config: Any) -> Files:
    """Adds the generated pages; those of docs/ with the same place give way."""
    from docs.generated import every_page

    for place, content in every_page().items():
        before = files.get_file_from_path(place)
        if before is not None:
            files.remove(before)
        files.append(File.generated(config, place, content=content))
    for place, name in {**PAGES, **IMAGES}.items():
        path = str(ROOT / name)
        files.append(File.generated(config, place, abs_src_path=path))
    return files


def on_config(config: Any) -> Any:
    """Lists every mixer and every task below its index."""
    from attn_research.modules import MIXERS
    from attn_research.tasks import TASKS

    for room, names in (("mixers", MIXERS), ("tasks", TASKS)):
        index = f"{room}/index.md"
        (section,) = [
            entries
            for part in config.nav
            for entries in part.values()
            if isinstance(entries, list) and index in entries
        ]
        section += [{name: f"{room}/{name}.md"} for name in names]
    return config


def on_page_content(html: str, **_: Any) -> str:
    """Keeps flags whole, and names the column in each cell of a wide table.

    The latter is for pages that are narrow.
    """
    from docs.generated.markdown import labelled, unbroken

    return re.sub(
        r"<table>.*?</table>",
        lambda found: labelled(found[0]),
        unbroken(html),
        flags=re.S,
    )
