"""Loaders of published weights, one file per system: published names and settings → ours."""
