"""The feature store: every utterance is encoded once and kept on disk."""
