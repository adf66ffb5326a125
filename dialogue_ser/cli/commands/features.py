"""``dialogue-ser features encode``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dialogue_ser.corpus.schema import Corpus, Dialogue, utterances
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.features.audio.augmentation import Augmentation, variants
from dialogue_ser.features.core.checked_encoder import CheckedEncoder
from dialogue_ser.features.registry import ENCODERS, build_encoder
from dialogue_ser.features.store.content_keys import fingerprint_digest
from dialogue_ser.features.store.engines import Engine, WorkerProcesses
from dialogue_ser.features.store.feature_store import CHUNK_UTTERANCES, FeatureStore
from dialogue_ser.features.store.progress import Tally

if TYPE_CHECKING:
    from dialogue_ser.training.config.run_config import DataConfig, RunConfig

OnBad = Literal["error", "mask"]


@dataclass(frozen=True, kw_only=True)
class _Request:
    """Whose features are wanted.

    Args:
        data: corpus; its ``train`` splits are augmented.
        encoders: frozen encoders, each with the augmentation of the turns that it is trained on.
    """

    data: "DataConfig"
    encoders: tuple[tuple[CheckedEncoder, Augmentation], ...]


def features_encode(
    encoder: str | None = None,
    modality: str | None = None,
    encoder_options: dict[str, Any] | None = None,
    preset: str | None = None,
    config: str | None = None,
    reader: str | None = None,
    path: str | None = None,
    labels: str | None = None,
    options: dict[str, Any] | None = None,
    splits: str | None = None,
    on_bad: Literal["error", "mask"] | None = None,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    gpus: float = 0.0,
    chunk: int = CHUNK_UTTERANCES,
    store: str | None = None,
) -> int:
    """Encode a corpus into the feature store; what is there already is not encoded again, also after a kill.

    A preset's or file's augmented copies of the training turns are encoded too.

    Args:
        encoder: a frozen encoder ('dialogue-ser encoders'), or package.module:function; or give --preset or --config.
        modality: text, audio, …; left out: as the encoder's first parameter or name says.
        encoder_options: the encoder's own, as YAML or JSON, e.g. '{pooling: cls}'.
        preset: encode every modality of a run preset, with its corpus.
        config: the same of a run's YAML file.
        reader: meld, sample, table, …
        path: folder or file; left out: looked for.
        labels: label set, e.g. emotion or sentiment.
        options: the reader's own options, as YAML or JSON.
        splits: only these, separated by commas.
        on_bad: error, or mask media that cannot be decoded.
        workers: processes, each with an encoder of its own; 0 = one per CPU core; left out: the encoder works in this
            process, as it does in training (openSMILE: in a process per core).
        engine: local, or ray: actors on a Ray cluster (extra 'ray').
        address: of the Ray cluster; left out: Ray is started on this machine.
        gpus: GPUs of each Ray actor.
        chunk: utterances between two commits, what a kill loses at most.
        store: folder of the store; left out: DIALOGUE_SER_CACHE or ~/.cache/dialogue_ser.

    Returns:
        Exit status 0.

    Raises:
        DialogueSerError: unknown names, bad rows, clips that cannot be used (the rest is stored by then).
    """
    if chunk < 1:
        raise ConfigError(f"--chunk {chunk}: must be at least 1")
    from dialogue_ser.training.data.corpus import corpus_of

    runner = _engine(engine, workers, address, gpus)
    given = {"reader": reader, "path": path, "labels": labels, "options": options, "on_bad": on_bad}
    request = _request(encoder, modality, encoder_options or {}, preset, config, given)
    corpus = corpus_of(request.data, every_fold=True)
    names = list(corpus.splits) if splits is None else list(dict.fromkeys(map(str.strip, splits.split(","))))
    unknown = [unknown_name("split", name, corpus.splits) for name in names if name not in corpus.splits]
    if unknown:
        raise ConfigError(*(f"--splits: {problem}" for problem in unknown))
    feature_store = FeatureStore(store, chunk_utterances=chunk, engine=runner)
    train = [name for name in names if name in request.data.train.split("+")]
    for wanted, augmentation in request.encoders:
        _encode(feature_store, wanted, [*_of(corpus, names), *_copies(_of(corpus, train), augmentation)])
    return 0


def _of(corpus: Corpus, splits: Sequence[str]) -> list[Dialogue]:
    return [dialogue for name in splits for dialogue in corpus.splits[name]]


def _copies(train: Sequence[Dialogue], augmentation: Augmentation) -> list[Dialogue]:
    """Every augmented copy of the training turns."""
    copies = range(1, augmentation.copies + 1)
    return [dialogue for copy in copies for dialogue in variants(train, augmentation, copy)]


def _engine(name: str, workers: int | None, address: str | None, gpus: float) -> Engine | None:
    """None = as in training."""
    if name == "ray":
        from dialogue_ser.features.store.ray_engine import RayEngine

        return RayEngine(workers or 0, address, gpus)
    if address is not None or gpus:
        raise ConfigError("--address and --gpus belong to --engine ray; add it or leave them away")
    return None if workers is None else WorkerProcesses(workers)


def _request(
    encoder: str | None,
    modality: str | None,
    encoder_options: dict[str, Any],
    preset: str | None,
    config: str | None,
    given: Mapping[str, Any],
) -> _Request:
    """What the flags ask for, over what the preset or file says."""
    sources = [name for name, value in (("encoder", encoder), ("preset", preset), ("config", config)) if value]
    if len(sources) != 1:
        said = f"found {' and '.join(f'--{name}' for name in sources)}" if sources else "found none of them"
        raise ConfigError(f"features encode: give one of --encoder, --preset and --config; {said}")
    if encoder is None and (modality is not None or encoder_options):
        raise ConfigError("--modality and --encoder_options go with --encoder; a preset or file has its own")
    run = _run_config(preset, config, {f"data.{key}": value for key, value in given.items() if value is not None})
    if encoder is not None:
        built = _built(encoder, modality, encoder_options, run.data.on_bad)
        return _Request(data=run.data, encoders=((built, Augmentation()),))
    return _Request(data=run.data, encoders=tuple(_encoders_of(run, run.data.on_bad)))


def _run_config(preset: str | None, config: str | None, overrides: Mapping[str, Any]) -> "RunConfig":
    from dialogue_ser.training.config.files import load_config
    from dialogue_ser.training.config.overrides import apply_overrides
    from dialogue_ser.training.config.presets import load_preset
    from dialogue_ser.training.config.run_config import RunConfig

    run = RunConfig() if config is None else load_config(Path(config))
    return apply_overrides(run if preset is None else load_preset(preset), overrides)


def _encoders_of(run: "RunConfig", on_bad: OnBad) -> Iterator[tuple[CheckedEncoder, Augmentation]]:
    from dialogue_ser.inputs.extractor import build_extractor

    for modality, feature in run.features.items():
        extractor, *_ = build_extractor(
            modality, feature.encoder, feature.options, has_transforms=bool(feature.transforms), on_bad=on_bad
        )
        if isinstance(extractor, CheckedEncoder):
            yield extractor, feature.augment
        else:
            print(f"{modality}: {feature.encoder} is trained with the model on token ids; there is nothing to encode")


def _built(encoder: str, modality: str | None, options: dict[str, Any], on_bad: OnBad) -> CheckedEncoder:
    """The encoder; where no modality is given its own, else what a function's first parameter says."""
    if encoder not in ENCODERS and ":" not in encoder:
        from dialogue_ser.encoders import find_trained  # imports torch

        if find_trained(encoder) is not None:
            raise ConfigError(f"--encoder {encoder}: is trained with the model; there is nothing to encode ahead of it")
    if modality is not None:
        return build_encoder(encoder, modality, options, on_bad)
    built = build_encoder(encoder, "any", options, on_bad)
    own = "any"
    for kind in ("text", "audio"):
        if kind in built.traits.reads and len(set(built.traits.reads) & {"text", "audio"}) == 1:
            own = kind
    if own == "any":
        raise ConfigError(f"encoder {encoder!r}: name the modality it gives with --modality, e.g. text or audio")
    return build_encoder(encoder, own, options, on_bad)


def _encode(store: FeatureStore, encoder: CheckedEncoder, dialogues: list[Dialogue]) -> None:
    title = f"{encoder.modality}: {encoder.name}"
    if not encoder.traits.is_stored:
        print(f"{title}: is not stored (it looks rows up, or its source cannot be hashed)")
        return
    with Tally(title) as tally:
        rows = store.table(encoder, dialogues, tally)
    n_turns = sum(1 for _ in utterances(dialogues))
    digest = fingerprint_digest(encoder.name, encoder.kind, encoder.fingerprint())
    rate = f" in {tally.seconds:.1f} s, {tally.n_done / tally.seconds:.1f}/s" if tally.n_done else ""
    absent = f"; {n_turns - len(rows)} have none (nothing to read, or bad and masked)" if len(rows) < n_turns else ""
    print(f"{title} ({digest}): {n_turns} utterances; {tally.n_done} asked of the encoder{rate}{absent}")
