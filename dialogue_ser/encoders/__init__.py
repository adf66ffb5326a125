"""Utterance encoders trained inside the model."""
