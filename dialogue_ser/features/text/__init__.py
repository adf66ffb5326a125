"""Frozen text encoders, and the tokenizers of trained ones."""
