"""``python -m benchmarks.faults``."""

from benchmarks.faults.campaign import main

if __name__ == "__main__":
    raise SystemExit(main())
