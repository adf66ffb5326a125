"""Cross-validation: folds, their runs, pooled scores."""
