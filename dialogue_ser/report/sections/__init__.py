"""Sections of report pages, and the tables in them."""
