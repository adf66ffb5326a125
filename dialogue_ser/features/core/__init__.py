"""The interface of frozen encoders: what they return, how they are identified, what happens to bad clips."""
