"""Commands about suites: run one, and analyse its errors."""
