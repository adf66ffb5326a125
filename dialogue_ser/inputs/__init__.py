"""From dialogues to model-ready features: one pipeline per modality."""
