"""What a run learns from: corpus, features, batches."""
