"""The parts that all families of faults share."""
