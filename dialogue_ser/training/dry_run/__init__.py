"""A run before it is a run: made-up corpora, memory and time."""
