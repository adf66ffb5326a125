"""Layers over the frames or tokens of one utterance."""
