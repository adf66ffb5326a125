"""Use trained systems on new dialogues."""
