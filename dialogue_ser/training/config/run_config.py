"""Everything a run is decided by: one frozen, typed, YAML-able configuration.

Long because every setting and its sentence stand in one place, which config.yaml and the flags mirror.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import PurePath
from typing import Any, Literal

from dialogue_ser.corpus.cut import CutConfig
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.features.audio.augmentation import Augmentation
from dialogue_ser.metrics.table import METRICS, TaskKind
from dialogue_ser.tasks import TASKS

# More threads than this no machine has, and OpenMP ends the process with a segmentation fault.
_MOST_THREADS = 1024
# Seeds of members are their run's times this, plus their number.
MOST_MEMBERS = 1000
# Beyond it a step overflows float32; the optimizer refuses it in the middle of the run.
_LARGEST_RATE = 1e6
Sampling = Literal["shuffled", "bucketed"]


def _check(section: str, config: object, least: Mapping[str, float], most: Mapping[str, float]) -> None:
    """Raises ConfigError naming every number of a section that is out of range or not finite."""
    found = {name: getattr(config, name) for name in least}
    problems = [
        f"{section}.{n}: found {value}, expected a finite number"
        for n, value in found.items()
        if not math.isfinite(value)
    ]
    problems += [
        f"{section}.{n}: found {found[n]}, expected at least {low}" for n, low in least.items() if found[n] < low
    ]
    problems += [
        f"{section}.{n}: found {found[n]}, expected at most {high:g}" for n, high in most.items() if found[n] > high
    ]
    if problems:
        raise ConfigError(*problems)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Which corpus.

    Args:
        reader: name in READERS: meld, table, …
        path: folder or file; None = found in the folders of DIALOGUE_SER_DATA, or in data/ where it is not set.
        labels: label set, e.g. emotion or sentiment.
        options: the reader's own options (table: column mapping, splits, label map).
        targets: dimensions that a regression learns, e.g. [valence, arousal]; empty = all that the corpus has.
        train: split(s) the model learns from.
        dev: split that chooses.
        on_bad: what to do with media that cannot be decoded: error, or mask the modality for that turn.
        leave_out: classes that micro F1 leaves out (DailyDialog: that without emotion); other scores keep every class.
        cut: protocol and fold by which the corpus is cut once it is read; ``train`` and ``dev`` are then splits of it.
    """

    reader: str = "meld"
    path: str | None = None
    labels: str = "emotion"
    options: dict[str, Any] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    train: str = "train"
    dev: str = "dev"
    on_bad: Literal["error", "mask"] = "error"
    leave_out: tuple[str, ...] = ()
    cut: CutConfig = field(default_factory=CutConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureConfig:
    """One modality's path from utterance to model input.

    Args:
        encoder: registered frozen encoder (minilm, hf-text, opensmile, precomputed, …), trained one (textcnn), or
            ``package.module:function`` of your own.
        options: the encoder's own options.
        transforms: fitted on train, applied in order: impute, standardise, rank, l2, speaker-zscore …
        augment: changed copies of the training utterances' sound; dev and test never have any.
    """

    encoder: str
    options: dict[str, Any] = field(default_factory=dict)
    transforms: tuple[str, ...] = ()
    augment: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """Masked loss over real, labelled turns.

    Args:
        kind: null = the task's own (nll, or ccc). Of classes: nll; or binary = mean over classes of the cross-entropy
            of each class against all others, of the softmax's probabilities (it takes every setting below but
            ``focal_gamma``). Of values: ccc = 1 − concordance correlation of the batch, mean over dimensions; or mse.
            Or ``package.module:function`` of your own (docs/plugins.md). Only nll and binary take the settings below.
        class_weights: none; or inverse train frequency to the power ``class_weight_power``, mean 1 over train turns.
        class_weight_power: 1 = inverse frequency, 0.5 = its square root.
        label_smoothing: mass spread over all classes.
        focal_gamma: focal loss exponent; 0 = plain NLL.
        soft_labels: use annotators' votes as targets where a turn has them, also where they tie and give no label.
    """

    kind: str | None = None
    class_weights: Literal["none", "inverse-frequency"] = "none"
    class_weight_power: float = 1.0
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    soft_labels: bool = False

    def __post_init__(self) -> None:
        _check("loss", self, {"class_weight_power": 0, "label_smoothing": 0, "focal_gamma": 0}, {"label_smoothing": 1})
        if self.kind == "binary" and self.focal_gamma:
            raise ConfigError(
                f"loss.focal_gamma: found {self.focal_gamma} beside kind binary, which has none; set 0, or take nll"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """How weights move.

    Args:
        name: adamw, adam or sgd.
        learning_rate: peak learning rate.
        weight_decay: decoupled for adamw (matrices only), L2 for adam and sgd.
        momentum: sgd only.
        schedule: constant, cosine (to zero), linear (to zero), or inverse-time (rate / (1 + decay · step)), per step.
        decay: of inverse-time only.
        warmup_fraction: share of all steps over which the rate rises linearly from zero.
        clip_norm: largest gradient norm; 0 = no clipping.
        encoder_learning_rate: peak rate of encoders that begin pretrained (transformer); None = ``learning_rate``.
        layer_decay: their rate times this per layer below the top one, embeddings last; 1 = all alike.
        l2: beginning of parameters' names (``*`` = anything) → strength: strength · Σ w² over the matrices so called
            joins the loss that is descended, not the one that is reported.
    """

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    momentum: float = 0.0
    schedule: Literal["constant", "cosine", "linear", "inverse-time"] = "constant"
    decay: float = 0.0
    warmup_fraction: float = 0.0
    clip_norm: float = 5.0
    encoder_learning_rate: float | None = None
    layer_decay: float = 1.0
    l2: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = ["learning_rate", "weight_decay", "momentum", "decay", "warmup_fraction", "clip_norm", "layer_decay"]
        most = {"warmup_fraction": 1, "momentum": 1, "learning_rate": _LARGEST_RATE, "layer_decay": 1}
        if self.encoder_learning_rate is not None:
            names.append("encoder_learning_rate")
            most["encoder_learning_rate"] = _LARGEST_RATE
        _check("optimizer", self, dict.fromkeys(names, 0), most)
        if not all(0 <= strength < math.inf for strength in self.l2.values()):
            raise ConfigError(f"optimizer.l2: found {self.l2}, expected strengths of at least 0")
        if self.encoder_learning_rate and not self.learning_rate:  # all rates follow one schedule, as shares of it
            raise ConfigError(
                "optimizer.learning_rate: found 0 beside an encoder_learning_rate; give the head a rate above 0"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """How long, in what pieces, and when to stop.

    Args:
        epochs: passes over train.
        batch_size: dialogues a step, over all ranks.
        accumulate: batches per optimizer step.
        sampling: which dialogues meet in a batch: shuffled = any; bucketed = some of like length, for less padding and
            fewer steps of the recurrence. Either way every dialogue comes once an epoch.
        begin_from: modality → run (or cross-validation) of ``utterance`` on it alone that ``late-fusion`` begins with.
        balance: none; or downsample = learn from as many turns of every class as the rarest one has, drawn by the seed.
        ensemble: models trained, each with a seed (and draw by ``balance``) of its own; probabilities are averaged.
        patience: epochs without a better dev score before stopping; 0 = never stop early.
        select: metric on dev that chooses the checkpoint, by its key or as ``package.module:function`` of your own;
            null = the task's own (weighted_f1, or ccc). micro_f1 is that without ``data.leave_out``.
        keep: best = the run ends with the weights of the epoch with the best dev score; last = with those of the last
            epoch, where dev is too small to tell epochs apart and ``epochs`` was settled before.
        ema_decay: exponential moving average of the weights per step, used for evaluation; 0 = off.
        checkpoint_every_steps: also checkpoint inside an epoch; 0 = at its end only.
        keep_checkpoints: newest ones kept beside the best.
        precision: no, bf16 or fp16 autocast.
        device: auto, cpu or cuda.
        threads: torch CPU threads; 0 = leave as they are.
        workers: DataLoader worker processes.
        callbacks: your own hooks into the loop: registered names, or ``package.module:Class`` (docs/plugins.md).
    """

    epochs: int = 20
    batch_size: int = 32
    accumulate: int = 1
    sampling: Sampling = "shuffled"
    begin_from: dict[str, str] = field(default_factory=dict)
    balance: Literal["none", "downsample"] = "none"
    ensemble: int = 1
    patience: int = 0
    select: str | None = None
    keep: Literal["best", "last"] = "best"
    ema_decay: float = 0.0
    checkpoint_every_steps: int = 0
    keep_checkpoints: int = 2
    precision: Literal["no", "bf16", "fp16"] = "no"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 0
    workers: int = 0
    callbacks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        counts = ("patience", "ema_decay", "checkpoint_every_steps", "threads", "workers")
        from_one = ("epochs", "batch_size", "accumulate", "keep_checkpoints", "ensemble")
        least = dict.fromkeys(from_one, 1) | dict.fromkeys(counts, 0)
        _check("training", self, least, {"ema_decay": 1, "threads": _MOST_THREADS, "ensemble": MOST_MEMBERS})
        if self.keep == "last" and self.patience:
            raise ConfigError(
                f"training.patience: found {self.patience}, expected 0 with training.keep last; the last epoch is kept "
                "whatever dev says"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class WandbConfig:
    """Mirroring to Weights & Biases; metrics.jsonl stays the source of truth.

    Args:
        mode: disabled, offline or online.
        project: W&B project.
        group: W&B group, e.g. the sweep's name.
        tags: W&B tags.
    """

    mode: Literal["disabled", "offline", "online"] = "disabled"
    project: str = "dialogue-ser"
    group: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """Which system and its options (the dataclass beside its module).

    Args:
        name: name in MODELS.
        options: fields of that system's Config.
    """

    name: str = "emotion-rnn"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossvalConfig:
    """What `dialogue-ser crossval` fits in every fold of ``data.cut``; `train` fits no estimator.

    Args:
        estimator: what is fitted in each fold: of classes linear-svm or logistic, of values ridge (scikit-learn on
            utterance vectors), or none: the dialogue model that ``model``, ``loss``, ``optimizer`` and ``training``
            describe.
        inverse_regularisation: an estimator's candidates for C (ridge: 1 / alpha); UA, or CCC, on dev chooses.
        class_weight: balanced = inverse to the class's frequency, or none; an estimator's.
        refit: train = keep the model that dev judged; train+dev = learn again from both once C is chosen.
    """

    estimator: Literal["none", "linear-svm", "logistic", "ridge"] = "none"
    inverse_regularisation: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    class_weight: Literal["balanced", "none"] = "balanced"
    refit: Literal["train+dev", "train"] = "train+dev"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """A whole run: what ``config.yaml`` holds, fully resolved.

    Args:
        name: run name; the directory defaults to runs/NAME.
        seed: of everything.
        task: what is said of a turn: one class (classification), or values of named dimensions (regression).
        data: corpus.
        features: modality → path to the model.
        model: system.
        loss: masked loss.
        optimizer: optimizer and schedule.
        training: epochs, batches, selection.
        wandb: mirroring.
        metrics: further metrics to count, by registered name or as ``package.module:function`` of your own.
        save_attention: also write attention.safetensors with the predictions.
        crossval: what `dialogue-ser crossval` fits in every fold.
    """

    name: str = "run"
    seed: int = 1
    task: TaskKind = "classification"
    data: DataConfig = DataConfig()
    features: dict[str, FeatureConfig] = field(default_factory=dict)
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()
    wandb: WandbConfig = WandbConfig()
    metrics: tuple[str, ...] = ()
    save_attention: bool = True
    crossval: CrossvalConfig = CrossvalConfig()

    def __post_init__(self) -> None:
        if self.seed < 0:  # numpy and torch have none below
            raise ConfigError(f"seed: found {self.seed}, expected at least 0")
        # Every configuration that exists is resolved: what the task decides stands in it, and in config.yaml.
        object.__setattr__(self, "loss", replace(self.loss, kind=self.loss.kind or TASKS[self.task].losses[0]))
        select = self.training.select or TASKS[self.task].default_metric
        object.__setattr__(self, "training", replace(self.training, select=select))
        problems = [*_unfit_loss(self.task, self.loss), *_unfit_select(self.task, select)]
        if select == "micro_f1" and not self.data.leave_out:
            problems.append("training.select: micro_f1 of all classes is accuracy; name some in data.leave_out")
        if self.training.balance != "none" and not TASKS[self.task].gives_probabilities:
            problems.append(f"training.balance: {self.training.balance} is for classes; set none for {self.task}")
        if problems:
            raise ConfigError(*problems)
        parts = PurePath(self.name).parts
        if len(parts) != 1 or parts[0] in ("..", "/") or "/" in self.name or "\\" in self.name:
            raise ConfigError(
                f"name: found {self.name!r}, expected the name of one folder; say where it lies with --out DIR"
            )


def _unfit_loss(task: TaskKind, loss: LossConfig) -> list[str]:
    """A loss of another task, and settings that it would pass over."""
    kind, own = str(loss.kind), TASKS[task].losses
    others = {name for other in TASKS.values() for name in other.losses} - set(own)
    if kind in others:
        return [
            f"loss.kind: {kind} is no loss of {task}; use {' or '.join(own)}, or package.module:function of your own"
        ]
    if kind in TASKS["classification"].losses:
        return []
    default = LossConfig(kind=kind)
    return [
        f"loss.{one.name}: found {getattr(loss, one.name)}, which only nll and binary take; leave it at "
        f"{getattr(default, one.name)} beside kind {kind}"
        for one in fields(loss)
        if getattr(loss, one.name) != getattr(default, one.name)
    ]


def _unfit_select(task: TaskKind, select: str) -> list[str]:
    """A metric that this task does not have; one of the user's is looked up when it is needed."""
    if select in METRICS:
        metric = METRICS[select]
        own = [key for key in METRICS if METRICS[key].task == task]
        return (
            [] if metric.task == task else [f"training.select: {select} is no metric of {task}; use {', '.join(own)}"]
        )
    if METRICS.comes_from_outside(select):
        return []
    return [f"training.select: {unknown_name('metric', select, METRICS)}, or package.module:function of your own"]
