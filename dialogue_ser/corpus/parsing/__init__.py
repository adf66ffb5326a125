"""Read the files of corpora strictly: tables, times, paths, and the texts of IEMOCAP."""
