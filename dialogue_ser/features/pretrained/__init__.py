"""Pretrained transformers models: where they lie, how they are loaded and identified."""
