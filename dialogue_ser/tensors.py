"""The letters of tensor dimensions, and the tensor types that all rooms with torch use.

The end of a tensor's name gives its dimensions: ``x_BTD`` is batch × turn × feature.

====  =========  =====================================================================
name  axis       meaning
====  =========  =====================================================================
B     batch      dialogue in the batch
T     turn       utterance in the dialogue, padded to the longest in the batch
P     party      speaker of the dialogue, in order of first appearance
D     feature    utterance feature
H     hidden     hidden state
C     class      label class, in the order of the LabelSet
S     score      score of a class, or value of a dimension, that a system gives for a turn
L     frame      frame or token inside an utterance
N     row        real turn after the padding was removed, or a row of states
====  =========  =====================================================================

``is_real_turn`` is True on real turns and False on padding. Speaker ids are −1 and labels −100 on padding.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

FeaturesBTD = Float[Tensor, "batch turn feature"]
HiddenBTH = Float[Tensor, "batch turn hidden"]
ScoresBTS = Float[Tensor, "batch turn score"]
SpeakerBT = Int[Tensor, "batch turn"]
LabelBT = Int[Tensor, "batch turn"]
RealTurnBT = Bool[Tensor, "batch turn"]
TurnsB = Int[Tensor, " batch"]

PAD_SPEAKER = -1
IGNORED_LABEL = -100

__all__ = [
    "IGNORED_LABEL",
    "PAD_SPEAKER",
    "FeaturesBTD",
    "HiddenBTH",
    "LabelBT",
    "RealTurnBT",
    "ScoresBTS",
    "SpeakerBT",
    "TurnsB",
]
