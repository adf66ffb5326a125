"""All settings of a run: frozen, typed records that can be written as YAML.

Long because every setting and its description are in one place. ``config.yaml`` has the same keys, and
``dialogue-ser train --help`` prints these descriptions.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import PurePath
from typing import Any, Literal

from dialogue_ser.corpus.cut import CutConfig
from dialogue_ser.errors import ConfigError, shown_value, unknown_name
from dialogue_ser.features.audio.augmentation import Augmentation
from dialogue_ser.metrics.table import METRICS, TaskKind
from dialogue_ser.tasks import TASKS

# With far more threads than this, OpenMP ends the process with a segmentation fault. No machine needs so many.
_MAX_THREADS = 1024
# The seed of an ensemble's member is the seed of its run times this number, plus the number of the member.
MAX_MEMBERS = 1000
# A larger rate overflows float32. The optimizer would find that out only in the middle of the run.
_MAX_LEARNING_RATE = 1e6
# Names of files may have 255 bytes on most disks; endings and temporary names need some of them.
_MAX_NAME_BYTES = 200
_MODALITY_NAME = re.compile(r"[^\W_][\w-]{0,63}")
# Attributes of torch.nn.ModuleDict, which cannot hold a module with such a name.
_NAMES_OF_TORCH = frozenset(
    ("T_destination", "add_module", "apply", "bfloat16", "buffers", "call_super_init", "children", "clear", "compile",
     "cpu", "cuda", "double", "dump_patches", "eval", "extra_repr", "float", "forward", "half", "ipu", "items", "keys",
     "load_state_dict", "modules", "mtia", "parameters", "pop", "share_memory", "state_dict", "to", "to_empty", "train",
     "training", "type", "update", "values", "xpu", "zero_grad")
)  # fmt: skip
_BEGINNINGS_OF_TORCH = ("get_", "named_", "register_", "requires_grad_", "set_")
Sampling = Literal["shuffled", "bucketed"]


def _check_ranges(section: str, config: object, lowest: Mapping[str, float], highest: Mapping[str, float]) -> None:
    """Check that the numbers of one section are finite and in their ranges.

    Args:
        section: name of the section, for the messages.
        config: the section.
        lowest: every number to check and its smallest allowed value.
        highest: some of these numbers and their largest allowed values.

    Raises:
        ConfigError: some numbers are out of range or not finite. The error names all of them.
    """
    found = {name: getattr(config, name) for name in lowest}
    problems = [
        f"{section}.{n}: found {value}, expected a finite number"
        for n, value in found.items()
        if not math.isfinite(value)
    ]
    problems += [
        f"{section}.{n}: found {found[n]}, expected at least {low}" for n, low in lowest.items() if found[n] < low
    ]
    problems += [
        f"{section}.{n}: found {found[n]}, expected at most {high:g}" for n, high in highest.items() if found[n] > high
    ]
    if problems:
        raise ConfigError(*problems)


def _class_weight_problems(weights: str | tuple[float, ...] | dict[str, float]) -> list[str]:
    """Return what is wrong with fixed class weights: none, or not numbers of at least 0 of which one is above 0."""
    if isinstance(weights, str):
        return []
    values = list(weights.values()) if isinstance(weights, Mapping) else list(weights)
    if (
        values
        and all(math.isfinite(value) and value >= 0 for value in values)
        and (any(values) or isinstance(weights, Mapping))
    ):
        return []
    return [
        f"loss.class_weights: found {shown_value(weights)}, expected finite numbers of at least 0, one of them above 0"
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """The corpus, its splits and its labels.

    Args:
        reader: name of the corpus reader, e.g. meld or table (docs/corpora.md).
        path: folder or file of the corpus. null = look in the folders of DIALOGUE_SER_DATA, or in data/ if it is not
            set.
        labels: name of the label set, e.g. emotion or sentiment.
        options: options of this reader, e.g. for table the columns, the splits and a label map.
        targets: dimensions that a regression learns, e.g. [valence, arousal]. Empty = all dimensions of the corpus.
        train: split to learn from. Join several with a plus sign: train+extra.
        dev: split that chooses the epoch and the settings.
        on_bad: what to do with media that cannot be used. error = stop; mask = mark the modality as absent in that
            turn, set files of another speaker aside, and go on.
        leave_out: classes that micro F1 leaves out, e.g. the class without emotion in DailyDialog. All other metrics
            count every class.
        cut: how to divide the corpus into train, dev and test after it is read: a protocol and one of its folds.
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
    """Features of one modality: an encoder and what is done with its output.

    Args:
        encoder: name of a frozen encoder (minilm, hf-text, opensmile, precomputed, …) or of a trained encoder
            (textcnn, …), or your own function as package.module:function. `dialogue-ser encoders` lists them.
        options: options of this encoder (docs/encoders.md and docs/text-encoders.md).
        transforms: transforms of the features, in the order in which they are applied: impute, standardise, rank, l2,
            speaker-zscore, … Their statistics come from train.
        augment: changed copies of the sound of training utterances. The dev and test splits never get copies.
    """

    encoder: str
    options: dict[str, Any] = field(default_factory=dict)
    transforms: tuple[str, ...] = ()
    augment: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True, kw_only=True)  # no slots: jsonargparse calls vars() on a nested default
class ContrastiveConfig:
    """A supervised contrastive loss over the log-probabilities of the turns in a batch, beside the main loss.

    It pulls turns of one class together and pushes turns of other classes away (NT-Xent; docs/equations.md). It
    compares all turns of a batch with each other, so it needs memory for the square of their number.

    Args:
        weight: weight of this loss; 0 = it is not used.
        adversarial_weight: its weight in the second pass of adversarial training (training.adversarial). null = the
            same as weight.
        temperature: similarities are divided by it. A lower value looks more at the turns that are hard to tell apart.
        similarity: of two turns. cosine = the dot product of their log-probabilities, each scaled to length 1. dot =
            without scaling.
    """

    weight: float = 0.0
    adversarial_weight: float | None = None
    temperature: float = 0.1
    similarity: Literal["cosine", "dot"] = "cosine"

    def __post_init__(self) -> None:
        names = ["weight", *(["adversarial_weight"] if self.adversarial_weight is not None else [])]
        _check_ranges("loss.contrastive", self, {**dict.fromkeys(names, 0), "temperature": 1e-4}, {})


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """The loss. It is computed over the labelled turns; padding never counts.

    Args:
        kind: which loss to use; null = the default of the task (nll for classification, ccc for regression). nll =
            cross-entropy of the right class. binary = mean over the classes of the cross-entropy of this class against
            all others, with the softmax's probabilities. pseudo-focal = the loss of MMGCN and M3NET: mean over the
            classes of −log p, where the right class counts (1 − log p)^focal_gamma times and every wrong class once. It
            raises all log-probabilities, also those of wrong classes: the probabilities become flat and their
            confidence means little. Use it to repeat those systems, with focal_gamma 2.5. ccc = 1 minus the concordance
            correlation of the batch, mean over the dimensions. mse = mean squared error. Or your own function as
            package.module:function (docs/plugins.md). The settings below work with the losses nll, binary and
            pseudo-focal only.
        class_weights: none = every class counts alike. inverse-frequency = rare classes count more: the weight is the
            inverse of the class's frequency in train to the power class_weight_power, with mean 1 over the train turns.
            Or fixed weights: a list in the order of the classes, e.g. [0.5, 2, 1], or by name, e.g. {anger: 2}, where
            every other class has the weight 1.
        class_weight_power: power for inverse-frequency. 1 = inverse frequency; 0.5 = its square root, a weaker
            correction.
        label_smoothing: share of the target probability that is spread evenly over all classes, from 0 to 1. Increase
            it if the model is too confident when it is wrong.
        focal_gamma: exponent of the focal loss, for nll and pseudo-focal only. A higher value gives more weight to
            turns that the model gets wrong. 0 = plain cross-entropy.
        focal_gradient: whether the gradient also goes through the factor (1 − p)^focal_gamma of nll. false = the factor
            is only a weight, as in DialogueCRN, MM-DFN and SACL.
        soft_labels: learn from the shares of the annotators' votes instead of one label per turn. The model then also
            learns from turns whose votes tie, which have no label. Turns without votes keep their label as the target.
        contrastive: a supervised contrastive loss beside this loss.
    """

    kind: str | None = None
    class_weights: Literal["none", "inverse-frequency"] | tuple[float, ...] | dict[str, float] = "none"
    class_weight_power: float = 1.0
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    focal_gradient: bool = True
    soft_labels: bool = False
    contrastive: ContrastiveConfig = ContrastiveConfig()

    def __post_init__(self) -> None:
        _check_ranges(
            "loss", self, {"class_weight_power": 0, "label_smoothing": 0, "focal_gamma": 0}, {"label_smoothing": 1}
        )
        problems = _class_weight_problems(self.class_weights)
        if self.focal_gamma and self.kind == "binary":
            problems.append(
                f"loss.focal_gamma: found {self.focal_gamma} with loss.kind {self.kind}, which has no focal form; "
                "set it to 0, or set loss.kind to nll"
            )
        if not self.focal_gradient and self.kind in ("binary", "pseudo-focal"):
            problems.append(
                f"loss.focal_gradient: found false with loss.kind {self.kind}; only nll has this form, so leave it true"
            )
        if self.kind == "pseudo-focal" and not self.focal_gamma:
            problems.append(
                "loss.focal_gamma: found 0 with loss.kind pseudo-focal, which would then ignore the labels; set it "
                "above 0 (MMGCN and M3NET use 2.5)"
            )
        if problems:
            raise ConfigError(*problems)


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """The optimizer and the schedule of its learning rate.

    Args:
        name: adamw, adam or sgd.
        learning_rate: highest learning rate of the run.
        weight_decay: how strongly weights are pulled towards 0, against overfitting. adamw applies it to matrices only,
            separately from the gradient; adam and sgd add it to the gradient of every parameter (L2).
        momentum: momentum of sgd. adamw and adam ignore it.
        amsgrad: for adamw and adam: divide by the largest mean square of the gradient so far instead of the newest one
            (Reddi et al., "On the Convergence of Adam and Beyond", 2018). GraphSmile uses it.
        schedule: how the rate changes with the steps: constant; cosine or linear (both fall to zero); or inverse-time
            (rate / (1 + decay · step)).
        decay: decay in the schedule inverse-time; a higher value makes the rate fall faster. The other schedules ignore
            it.
        warmup_fraction: share of all steps in which the rate rises linearly from zero to learning_rate.
        clip_norm: largest norm of the gradient; a larger gradient is scaled down to it. 0 = no limit.
        encoder_learning_rate: highest rate of encoders that start from pretrained weights (transformer). null = the
            same as learning_rate. Set it lower to keep more of what these encoders know.
        layer_decay: factor on the rate of these encoders for each layer below the top one; the embeddings are the
            lowest layer. Set it below 1 to change the lower layers less. 1 = the same rate in all layers.
        l2: a penalty on named weight matrices: start of the parameters' names (* stands for any text) → strength.
            strength · Σ w² is added to the loss that is minimised, but not to the loss that is reported.
    """

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    momentum: float = 0.0
    amsgrad: bool = False
    schedule: Literal["constant", "cosine", "linear", "inverse-time"] = "constant"
    decay: float = 0.0
    warmup_fraction: float = 0.0
    clip_norm: float = 5.0
    encoder_learning_rate: float | None = None
    layer_decay: float = 1.0
    l2: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = ["learning_rate", "weight_decay", "momentum", "decay", "warmup_fraction", "clip_norm", "layer_decay"]
        most = {"warmup_fraction": 1, "momentum": 1, "learning_rate": _MAX_LEARNING_RATE, "layer_decay": 1}
        if self.encoder_learning_rate is not None:
            names.append("encoder_learning_rate")
            most["encoder_learning_rate"] = _MAX_LEARNING_RATE
        _check_ranges("optimizer", self, dict.fromkeys(names, 0), most)
        if not all(0 <= strength < math.inf for strength in self.l2.values()):
            raise ConfigError(f"optimizer.l2: found {self.l2}, expected finite strengths of at least 0")
        if self.amsgrad and self.name == "sgd":
            raise ConfigError("optimizer.amsgrad: found true with optimizer.name sgd; only adamw and adam have it")
        # One schedule sets learning_rate; every other rate is a fixed multiple of it.
        if self.encoder_learning_rate and not self.learning_rate:
            raise ConfigError(
                "optimizer.learning_rate: found 0 with an encoder_learning_rate; set a rate above 0 for the head"
            )


@dataclass(frozen=True, kw_only=True)  # no slots: jsonargparse calls vars() on a nested default
class AdversarialConfig:
    """Contextual adversarial training, as in SACL: a second pass in which some weights are moved against the model.

    In each step, weights move by epsilon in the direction in which the loss grows (FGM, each tensor by its own norm).
    A second forward and backward pass gives further gradients, which are added to the first ones for all weights that
    did not move. Then the weights are put back. A step takes about twice as long.

    Args:
        epsilon: length of the move of each weight tensor; 0 = no adversarial training. SACL uses 5.
        rate: share of the steps that have such a second pass.
        weights: starts of the names of the weights that move (* stands for any text). Empty = the input weights and
            input biases of all recurrences of the model.
        alone: start of names → probability that only these of the weights move, e.g. {rnn.: 0.1}.
    """

    epsilon: float = 0.0
    rate: float = 1.0
    weights: tuple[str, ...] = ()
    alone: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_ranges("training.adversarial", self, {"epsilon": 0, "rate": 0}, {"rate": 1})
        shares = self.alone.values()
        if not (all(math.isfinite(share) and share >= 0 for share in shares) and sum(shares) <= 1 + 1e-9):
            raise ConfigError(
                f"training.adversarial.alone: found {shown_value(self.alone)}, expected probabilities of at least 0 "
                "that sum to at most 1"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """The training loop: epochs, batches, choice of the epoch, checkpoints and device.

    Args:
        epochs: how often to go through train.
        batch_size: number of dialogues in a batch, over all processes together.
        accumulate: number of batches whose gradients are added up for one optimizer step. Increase it if a batch of the
            size that you want does not fit into memory.
        sampling: which dialogues share a batch. shuffled = any; bucketed = dialogues of similar length, which is faster
            because there is less padding. Both take every dialogue once in an epoch.
        begin_from: runs whose weights the branches of late-fusion, or of bc-lstm with hierarchical fusion, start from:
            modality → run directory (or directory of a cross-validation). Such a run trains the model utterance (for
            bc-lstm: bc-lstm) on this modality alone. Empty = random weights.
        balance: none = learn from all turns. downsample = learn from equally many turns of every class, as many as the
            rarest class has. The seed decides which turns.
        ensemble: number of models to train. Each has its own seed (and its own draw if balance is downsample). Their
            probabilities or values are averaged.
        patience: stop after this number of epochs without a better dev score; 0 = never stop early.
        select: metric on dev that chooses the best epoch: the metric's key, or your own function as
            package.module:function. null = the default of the task (weighted_f1 for classification, ccc for
            regression). micro_f1 leaves out the classes in data.leave_out.
        protocol: which splits are scored after every epoch. dev = dev only. legacy-test-peek = also test, to measure
            how much higher scores are if test chooses the epoch, as in much published code. The run still keeps the
            epoch that dev chooses. The other one stands beside it, with a warning (docs/architecture.md).
        keep: which weights the run ends with. best = those of the epoch with the best dev score. last = those of the
            last epoch; use it if dev is too small to compare epochs and you chose the number of epochs before.
        ema_decay: decay of a moving average of the weights, e.g. 0.999. The average is then used on dev and test. 0 =
            no average.
        checkpoint_every_steps: number of steps after which another checkpoint is written. Set it if an epoch takes very
            long. 0 = write checkpoints at the end of each epoch only.
        keep_checkpoints: how many of the newest checkpoints to keep. The best one is always kept.
        precision: number format of the forward pass. no = float32; bf16 or fp16 = half precision (autocast), which is
            faster on most GPUs. fp16 needs a GPU.
        device: auto (a GPU if there is one), cpu or cuda.
        threads: number of CPU threads of torch. Set it if several runs share a machine. 0 = do not change it.
        workers: number of processes that prepare batches; 0 = the training process prepares them. Increase it if the
            training waits for its batches.
        adversarial: adversarial training: a second pass in every step with moved weights.
        callbacks: your own callbacks of the training loop: registered names, or package.module:Class (docs/plugins.md).
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
    protocol: Literal["dev", "legacy-test-peek"] = "dev"
    keep: Literal["best", "last"] = "best"
    ema_decay: float = 0.0
    checkpoint_every_steps: int = 0
    keep_checkpoints: int = 2
    precision: Literal["no", "bf16", "fp16"] = "no"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 0
    workers: int = 0
    adversarial: AdversarialConfig = AdversarialConfig()
    callbacks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        counts = ("patience", "ema_decay", "checkpoint_every_steps", "threads", "workers")
        from_one = ("epochs", "batch_size", "accumulate", "keep_checkpoints", "ensemble")
        least = dict.fromkeys(from_one, 1) | dict.fromkeys(counts, 0)
        _check_ranges("training", self, least, {"ema_decay": 1, "threads": _MAX_THREADS, "ensemble": MAX_MEMBERS})
        if self.keep == "last" and self.patience:
            raise ConfigError(
                f"training.patience: found {self.patience}, expected 0 with training.keep last; that setting keeps the "
                "last epoch and ignores the dev scores"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class WandbConfig:
    """Weights & Biases (W&B): also send the metrics there. metrics.jsonl has them in any case.

    Args:
        mode: disabled = send nothing; offline = write W&B's files into the run directory; online = send to the server.
        project: name of the W&B project to which the run belongs.
        group: name of the W&B group to which the run belongs, e.g. of a sweep. Folds, the members of an ensemble and
            the runs of a suite get one by themselves.
        tags: W&B tags of the run.
        job_type: W&B's job type of the run; folds, members and runs of a suite are fold, member and suite.
        texts: also send what people said: in the table of predictions and in the report.
        model: also send the model with its card, when the run is complete.
    """

    mode: Literal["disabled", "offline", "online"] = "disabled"
    project: str = "dialogue-ser"
    group: str | None = None
    tags: tuple[str, ...] = ()
    job_type: str | None = None
    texts: bool = False
    model: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The dialogue model.

    Args:
        name: registered name of the model. `dialogue-ser models` lists them.
        options: options of this model (docs/models.md).
    """

    name: str = "emotion-rnn"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossvalConfig:
    """What `dialogue-ser crossval` trains in every fold of data.cut. `dialogue-ser train` ignores this section.

    Args:
        estimator: what to fit in each fold. For classes: linear-svm or logistic; for values: ridge (all three are
            scikit-learn models on utterance vectors). none = train the dialogue model that the sections model, loss,
            optimizer and training describe.
        inverse_regularisation: values to try for C, the inverse of the strength of the regularisation (for ridge C is
            1 / alpha). The value with the best score on dev is used. The score is UA for classes and CCC for values.
        class_weight: balanced = the estimator weights each class by its inverse frequency; none = every turn counts
            alike.
        refit: train+dev = after the choice of C, fit again on train and dev together. train = keep the model that was
            fitted on train alone.
    """

    estimator: Literal["none", "linear-svm", "logistic", "ridge"] = "none"
    inverse_regularisation: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    class_weight: Literal["balanced", "none"] = "balanced"
    refit: Literal["train+dev", "train"] = "train+dev"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """All settings of a run, as ``config.yaml`` stores them.

    Args:
        name: name of the run. Its directory is runs/NAME, unless --out names another one.
        seed: seed of all random numbers. Change it to repeat a run with other random numbers.
        task: what the model predicts for a turn: classification = one class; regression = values of named dimensions.
        data: the corpus, its splits and its labels.
        features: modality → its encoder, transforms and augmentation.
        model: the dialogue model and its options.
        loss: the loss.
        optimizer: the optimizer and its schedule.
        training: epochs, batches, choice of the epoch, checkpoints and device.
        wandb: whether to send the metrics to Weights & Biases.
        metrics: metrics to compute in addition to the standard ones: registered names, or your own function as
            package.module:function.
        save_attention: after training, also write how much each turn attends to the other turns of its dialogue, to
            attention.safetensors (the models emotion-rnn and dialogue-rnn have such weights). A dialogue of T turns
            takes 4 T² bytes for each kind of attention, of which there are two or three. Switch it off to save disk
            space.
        attention_turns: largest number of turns of a dialogue whose attention is written. Longer dialogues are left
            out, so that disk and memory are bounded: 1000 turns take 4 MB for each kind of attention. To write all,
            give the length of the longest dialogue.
        crossval: what `dialogue-ser crossval` trains in every fold.
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
    attention_turns: int = 1000
    crossval: CrossvalConfig = CrossvalConfig()

    def __post_init__(self) -> None:
        if self.seed < 0:  # numpy and torch refuse negative seeds
            raise ConfigError(f"seed: found {self.seed}, expected at least 0")
        if self.attention_turns < 1:
            raise ConfigError(
                f"attention_turns: found {self.attention_turns}, expected at least 1; to write no attention, set "
                "save_attention to false"
            )
        # Replace null by the task's defaults, so that every configuration and every config.yaml names them.
        object.__setattr__(self, "loss", replace(self.loss, kind=self.loss.kind or TASKS[self.task].losses[0]))
        select = self.training.select or TASKS[self.task].default_metric
        object.__setattr__(self, "training", replace(self.training, select=select))
        problems = [*_loss_problems(self.task, self.loss), *_select_problems(self.task, select)]
        if select == "micro_f1" and not self.data.leave_out:
            problems.append(
                "training.select: micro_f1 of all classes is accuracy; name the classes to leave out in "
                "data.leave_out, or select another metric"
            )
        if self.training.balance != "none" and not TASKS[self.task].gives_probabilities:
            problems.append(
                f"training.balance: {self.training.balance} works with classes only; set it to none for {self.task}"
            )
        problems += [problem for name in self.features for problem in _modality_problems(name)]
        if problems:
            raise ConfigError(*problems)
        parts = PurePath(self.name).parts
        is_folder_name = self.name.isprintable() and len(self.name.encode()) <= _MAX_NAME_BYTES
        if len(parts) != 1 or parts[0] in ("..", "/") or "/" in self.name or "\\" in self.name or not is_folder_name:
            raise ConfigError(
                f"name: found {shown_value(self.name)}, expected the name of one folder of at most {_MAX_NAME_BYTES} "
                "bytes; to choose its place, use --out DIR"
            )


def _modality_problems(name: str) -> list[str]:
    """Return what is wrong with the name of a modality. It is a part of flags, file names and names of weights."""
    if not _MODALITY_NAME.fullmatch(name):
        return [
            f"features: found the modality {shown_value(name)}; a name consists of letters, digits, _ and -, begins "
            "with a letter or a digit and has at most 64 characters; rename it"
        ]
    if name in _NAMES_OF_TORCH or name.startswith(_BEGINNINGS_OF_TORCH):
        return [f"features: found the modality {name!r}, which is a name that PyTorch uses itself; rename it"]
    return []


def _loss_problems(task: TaskKind, loss: LossConfig) -> list[str]:
    """Return what is wrong with the section ``loss``: a loss of another task, or settings that the loss ignores."""
    kind, losses_of_task = str(loss.kind), TASKS[task].losses
    losses_of_other_tasks = {name for other in TASKS.values() for name in other.losses} - set(losses_of_task)
    if kind in losses_of_other_tasks:
        return [
            f"loss.kind: {kind} is no loss of {task}; use {' or '.join(losses_of_task)}, or your own function as "
            "package.module:function"
        ]
    if kind in TASKS["classification"].losses:
        return []
    default, users = LossConfig(kind=kind), " and ".join(TASKS["classification"].losses)
    return [
        f"loss.{setting.name}: found {getattr(loss, setting.name)}, but only the losses {users} use this "
        f"setting; with kind {kind} leave it at {getattr(default, setting.name)}"
        for setting in fields(loss)
        if getattr(loss, setting.name) != getattr(default, setting.name)
    ]


def _select_problems(task: TaskKind, select: str) -> list[str]:
    """Return what is wrong with ``training.select``: an unknown metric, or a metric of another task.

    A metric that the user wrote is looked up later, when it is needed.
    """
    if select in METRICS:
        if METRICS[select].task == task:
            return []
        metrics_of_task = [key for key in METRICS if METRICS[key].task == task]
        return [f"training.select: {select} is no metric of {task}; use {', '.join(metrics_of_task)}"]
    if METRICS.comes_from_outside(select):
        return []
    return [
        f"training.select: {unknown_name('metric', select, METRICS)}, or your own function as package.module:function"
    ]
