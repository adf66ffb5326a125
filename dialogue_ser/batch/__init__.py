"""Batches: dialogues padded to one length, and the order in which they are read."""
