"""The speaker-indexed dialogue recurrence."""
