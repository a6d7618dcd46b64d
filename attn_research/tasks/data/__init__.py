"""Real data: a catalogue, its preparation, and packed arrays to load."""
