"""Layers that read the frames or tokens of one utterance."""
