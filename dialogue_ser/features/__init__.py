"""Frozen utterance features."""
