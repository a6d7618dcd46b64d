"""Parts that several tasks share: lengths, placement, trees, pictures, data sets."""
