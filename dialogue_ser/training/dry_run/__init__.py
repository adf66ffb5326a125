"""Try a run at reduced size (``--smoke``), and compute what it costs at full size."""
