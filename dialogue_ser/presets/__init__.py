"""Run presets that ship in the wheel."""
