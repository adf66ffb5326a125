"""The same by decorator: importing this module makes the names known."""

from dialogue_ser import register_encoder
from example_encoders import frozen, trained


@register_encoder("example-decorated", modality="text", version="1")
def marks(texts):
    """Counts of ! and ?."""
    return frozen.punctuation(texts)


@register_encoder("example-decorated-trained")
class Strongest(trained.Strongest):
    """The strongest response of each filter."""
