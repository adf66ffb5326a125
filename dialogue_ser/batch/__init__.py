"""Padded, speaker-indexed batches."""
