"""A user's own tables and folders, prepared as packed data sets."""
