"""The parts that models are built of: recurrent cells, attention, fusion and losses."""
