"""The checks of one sound or video format each."""
