"""The training loop and its parts: epochs, steps, optimizer, loss, callbacks."""
