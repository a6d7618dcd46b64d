"""Questions put to grids of runs: studies, their directory, results, equal costs."""
