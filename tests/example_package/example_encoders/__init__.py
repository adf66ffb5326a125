"""Encoders of somebody else: docs/plugins.md explains them, tests/test_example_package.py trains with each."""
