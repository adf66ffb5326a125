"""Run directories, read without torch."""
