"""What a run loses and how long it waits when W&B fails."""
