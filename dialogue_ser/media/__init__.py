"""Decode audio and video files to waveforms."""
