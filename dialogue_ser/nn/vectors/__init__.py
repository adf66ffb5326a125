"""Layers for the vectors of one modality."""
