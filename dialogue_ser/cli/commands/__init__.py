"""The commands of ``dialogue-ser``, one file for each command or group of commands."""
