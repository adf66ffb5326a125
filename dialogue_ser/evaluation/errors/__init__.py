"""Error analysis of a suite: where its systems err and differ, group by group and dialogue by dialogue."""
