"""The data that a run learns from: corpus, features, batches."""
