"""The presets: YAML files with the settings of a run, part of the package."""
