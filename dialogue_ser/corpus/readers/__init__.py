"""One corpus format per file."""
