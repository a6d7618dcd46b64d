"""What a run needs of its machine: files that last, a lock, memory, signals, cores."""
