"""Several processes against one: ``python -m benchmarks.processes``."""
