"""What is claimed of sequence mixers, put to the test: one claim per module."""
