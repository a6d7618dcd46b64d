"""The inside of one trained model as a self-contained page, figures and numbers beside.

RUN/analysis/index.html             the page
RUN/analysis/NAME.png .svg .csv     each figure, and its numbers
"""

import os
from collections.abc import Sequence
from pathlib import Path

from attn_research.analysis.subject import Subject
from attn_research.durable import atomic_write
from attn_research.modules import pattern
from attn_research.options import BadInput, unknown
from attn_research.report.inside import ANALYSES
from attn_research.report.saving import inlined, save, template

DIRECTORY = "analysis"


def write(
    directory: str | os.PathLike[str],
    subject: Subject,
    names: Sequence[str],
    seen: str,
) -> Path:
    """Writes the page of a run; `seen` says in words what the model was looked at with.

    Of several analyses one that does not exist for the model says so on the page.
    Raises `BadInput` for the only one, and for one that there is not.
    """
    for name in names:
        if name not in ANALYSES:
            raise unknown("analysis", name, ANALYSES)
    folder = Path(directory) / DIRECTORY
    folder.mkdir(exist_ok=True)
    parts = []
    for name in names:
        figures, refused = [], None
        try:
            shown = ANALYSES[name].show(subject)
        except BadInput as error:
            if len(names) == 1:
                raise
            shown, refused = [], str(error)
        for figure, summary in shown:
            save(folder, figure)
            figures.append({**inlined(folder, figure), "summary": summary})
        facts = {"sentence": ANALYSES[name].sentence, "refused": refused}
        parts.append({"name": name, "figures": figures, **facts})
    config = subject.restored.config
    page = template("inside.html").render(
        pattern=pattern.brief(config.model.pattern),
        run=Path(directory).resolve().name,
        seen=seen,
        parts=parts,
        facts={
            "task": config.task,
            "pattern": config.model.pattern,
            "layers": config.model.layers,
            "width": config.model.width,
            "step": subject.restored.step,
            **subject.restored.hypers,
        },
    )
    atomic_write(folder / "index.html", page)
    return folder / "index.html"
