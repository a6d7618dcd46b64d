"""Pages of results: `write(directory, study)` writes a study's report/index.html.

`ledger.write(folder, ledger.gather(studies))` writes the page of several studies.
"""

from attn_research.report.page import headlines, write

__all__ = ["headlines", "write"]
