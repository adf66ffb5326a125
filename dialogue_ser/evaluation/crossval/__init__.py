"""Cross-validation: run every fold, and score all folds together."""
