"""Read run directories. This needs no torch."""
