"""The contract of frozen encoders: what they give, how they are identified, what happens to bad clips."""
