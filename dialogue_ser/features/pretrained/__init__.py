"""Pretrained transformers models: where they come from, how they are loaded and how they are identified."""
