"""Tables and transcripts of other people, read strictly."""
