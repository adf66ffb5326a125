"""What the loaders of several systems share."""
