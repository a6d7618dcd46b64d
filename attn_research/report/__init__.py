"""The page of a study: `write(directory, study)` gives its report/index.html."""

from attn_research.report.page import headlines, write

__all__ = ["headlines", "write"]
