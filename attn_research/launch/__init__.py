"""Starting runs: the cells of a study, each in its own process, and pretraining."""
