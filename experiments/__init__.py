"""Questions put to the mixers; each module holds data only: `STUDIES` by size."""
