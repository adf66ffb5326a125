"""The sections of a page, and the tables in them."""
