"""Corpora of dialogues: their data types, readers, checks, label maps, cuts and downloads."""
