"""Figures of report pages, drawn by matplotlib."""
