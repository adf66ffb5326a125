"""Many jobs: done in this process, in processes or on Ray; a finished job is never repeated, and all can be resumed."""
