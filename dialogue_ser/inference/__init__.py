"""Trained systems on new dialogues."""
