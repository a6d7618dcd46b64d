"""Running the cells of a study: `local` starts a process for each, `cell` is one."""
