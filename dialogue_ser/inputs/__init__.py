"""Pipelines: the way of each modality from dialogues to features for the model."""
