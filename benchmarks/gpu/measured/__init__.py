"""What a run on a GPU measures: one part per file."""
