"""The dimension legend and the tensor aliases every torch room shares.

Suffixes name dimensions: ``x_BTD`` is batch × turn × feature.

====  =========  =====================================================================
name  axis       meaning
====  =========  =====================================================================
B     batch      dialogue in the batch
T     turn       utterance in the dialogue, padded to the longest in the batch
P     party      speaker of the dialogue, in order of first appearance
D     feature    utterance feature
H     hidden     hidden state
C     class      label class, in the order of the LabelSet
S     score      what a system says of a turn: a class's score, or a dimension's value
L     frame      frame or token inside an utterance
N     row        packed real turn (padding removed) or state row
====  =========  =====================================================================

``is_real_turn`` is True on turns that exist and False on padding. Speaker ids are −1 and labels −100 on padding.
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
