"""The configuration of a run: its records, YAML files, overrides and presets."""
