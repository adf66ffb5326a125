"""Measure and check this library on a GPU in one short run: ``python -m benchmarks.gpu`` (docs/performance.md)."""
