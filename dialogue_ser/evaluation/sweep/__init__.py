"""Sweeps without a server: trials with drawn settings, done by processes and machines that share one storage."""
