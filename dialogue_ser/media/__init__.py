"""Media references to waveforms."""
