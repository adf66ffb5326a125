"""Cells, recurrences, attention, fusion, losses."""
