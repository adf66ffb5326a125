"""What makes up the gradient of a step: the terms of the loss, and the attack of adversarial training."""
