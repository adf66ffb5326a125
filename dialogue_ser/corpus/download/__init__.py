"""Find public corpora on this machine, and download them."""
