"""Sweeps without a server: trials with drawn settings, done by several processes and machines that share one storage."""
