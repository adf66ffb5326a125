"""A campaign of faults: what happens to results when processes die, files break and inputs are odd."""
