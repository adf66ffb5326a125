"""Report pages, model cards, figures and tables of runs."""
