"""Text that others wrote: read within bounds, and shown or written so that it does no harm."""
