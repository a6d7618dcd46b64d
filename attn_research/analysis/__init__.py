"""Pure functions that say what results and restored models mean."""
