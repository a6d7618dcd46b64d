"""Where a run starts from: the named checkpoint, and the trunk inside it."""
