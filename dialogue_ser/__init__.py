"""Emotion recognition in conversation: corpora, utterance encoders, dialogue models, training, evaluation.

The public names below are loaded when they are first used. So importing the package is fast and never imports torch.

>>> import dialogue_ser
>>> dialogue_ser.LabelSet("sentiment", ("neutral", "positive", "negative")).index("positive")
1
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dialogue_ser.corpus.readers import read_corpus as read_corpus
    from dialogue_ser.corpus.readers import register_reader as register_reader
    from dialogue_ser.corpus.readers.table_input import read_dialogues as read_dialogues
    from dialogue_ser.corpus.schema import AudioRef as AudioRef
    from dialogue_ser.corpus.schema import Corpus as Corpus
    from dialogue_ser.corpus.schema import Dialogue as Dialogue
    from dialogue_ser.corpus.schema import LabelSet as LabelSet
    from dialogue_ser.corpus.schema import Utterance as Utterance
    from dialogue_ser.errors import DialogueSerError as DialogueSerError
    from dialogue_ser.evaluation.new_corpus import NewData as NewData
    from dialogue_ser.evaluation.new_data import evaluate_on as evaluate_on
    from dialogue_ser.evaluation.run import evaluate_run as evaluate_run
    from dialogue_ser.features.registry import register_encoder as register_encoder
    from dialogue_ser.inference.classifier import DialogueClassifier as DialogueClassifier
    from dialogue_ser.metrics.scores import score as score
    from dialogue_ser.metrics.table import register_metric as register_metric
    from dialogue_ser.models import register_model as register_model
    from dialogue_ser.models.api import DialogueSystem as DialogueSystem
    from dialogue_ser.report.page import write_report as write_report
    from dialogue_ser.training.config.overrides import apply_overrides as apply_overrides
    from dialogue_ser.training.config.presets import load_preset as load_preset
    from dialogue_ser.training.config.run_config import DataConfig as DataConfig
    from dialogue_ser.training.config.run_config import FeatureConfig as FeatureConfig
    from dialogue_ser.training.config.run_config import RunConfig as RunConfig
    from dialogue_ser.training.loop.callbacks import register_callback as register_callback
    from dialogue_ser.training.loop.loss import register_loss as register_loss
    from dialogue_ser.training.run import train as train

__version__ = "0.1.0"

_HOMES = {
    "AudioRef": "corpus.schema",
    "Corpus": "corpus.schema",
    "DataConfig": "training.config.run_config",
    "Dialogue": "corpus.schema",
    "DialogueClassifier": "inference.classifier",
    "DialogueSerError": "errors",
    "DialogueSystem": "models.api",
    "FeatureConfig": "training.config.run_config",
    "LabelSet": "corpus.schema",
    "NewData": "evaluation.new_corpus",
    "RunConfig": "training.config.run_config",
    "Utterance": "corpus.schema",
    "apply_overrides": "training.config.overrides",
    "evaluate_on": "evaluation.new_data",
    "evaluate_run": "evaluation.run",
    "load_preset": "training.config.presets",
    "read_corpus": "corpus.readers",
    "read_dialogues": "corpus.readers.table_input",
    "register_callback": "training.loop.callbacks",
    "register_encoder": "features.registry",
    "register_loss": "training.loop.loss",
    "register_metric": "metrics.table",
    "register_model": "models",
    "register_reader": "corpus.readers",
    "score": "metrics.scores",
    "train": "training.run",
    "write_report": "report.page",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
