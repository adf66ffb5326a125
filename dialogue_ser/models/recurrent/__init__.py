"""Systems that read a dialogue turn after turn."""
