"""Features in files of other people: tables, arrays and pickles."""
