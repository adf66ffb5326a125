"""Systems that join the modalities of a turn."""
