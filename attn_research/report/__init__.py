"""The page of a study: `write(directory, study)` gives its report/index.html."""

from attn_research.report.page import write

__all__ = ["write"]
