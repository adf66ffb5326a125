"""Suites: systems × encoders × seeds as data; their runs, and the table that compares them."""
