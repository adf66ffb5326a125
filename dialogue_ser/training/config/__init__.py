"""The configuration of a run: records, files, overrides, presets."""
