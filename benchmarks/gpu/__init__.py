"""What a GPU does with this library, in one short run: ``python -m benchmarks.gpu`` (docs/performance.md)."""
