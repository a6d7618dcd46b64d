"""The page of a study: `write(directory, study)` gives its report/index.html.

`ledger.write(folder, ledger.gather(studies))` gives the page of several.
"""

from attn_research.report.page import headlines, write

__all__ = ["headlines", "write"]
