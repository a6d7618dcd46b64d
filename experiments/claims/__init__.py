"""Published claims about sequence mixers, put to the test: one per module."""
