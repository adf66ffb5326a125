"""``dialogue-ser features encode``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dialogue_ser.corpus.readers import reader_of_file
from dialogue_ser.corpus.schema import Corpus, Dialogue, utterances
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.features.audio.augmentation import Augmentation, replace_by_variants
from dialogue_ser.features.core.checked_encoder import CheckedEncoder
from dialogue_ser.features.registry import ENCODERS, build_encoder
from dialogue_ser.features.store.content_keys import fingerprint_digest
from dialogue_ser.features.store.engines import Engine, WorkerProcesses
from dialogue_ser.features.store.feature_store import CHUNK_UTTERANCES, FeatureStore
from dialogue_ser.features.store.progress import EncodingProgress
from dialogue_ser.foreign_text.terminal_text import visible
from dialogue_ser.trust import refuse_code, texts_in

if TYPE_CHECKING:
    from dialogue_ser.training.config.run_config import DataConfig, RunConfig

OnBad = Literal["error", "mask"]


@dataclass(frozen=True, kw_only=True)
class _Request:
    """The corpus and the encoders that a command names.

    Args:
        data: the settings of the corpus; the turns of its ``train`` splits are augmented.
        encoders: frozen encoders, each with the augmentation of the training turns.
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
    trust_code: bool = False,
) -> int:
    """Encode a corpus and keep the features in the feature store. What is stored already is not encoded again.

    After an interruption, run the same command again: it continues. With --preset or --config, the augmented copies of
    the training turns are encoded too.

    Args:
        encoder: frozen encoder ('dialogue-ser encoders' lists them), or package.module:function for your own one. Give
            exactly one of --encoder, --preset and --config.
        modality: modality that the encoder gives, e.g. text or audio. Set it if the encoder reads several modalities.
        encoder_options: options of the encoder, as YAML or JSON, e.g. '{pooling: cls}'.
        preset: encode every modality of this preset, and take its corpus.
        config: encode every modality of a run's YAML file, and take its corpus.
        reader: corpus reader, e.g. meld, sample or table. Set it to encode another corpus than the preset's. If left
            out with --encoder: table if the path is a file, else meld.
        path: folder or file of the corpus. If left out, the reader looks in DIALOGUE_SER_DATA, or in data/.
        labels: label set, e.g. emotion or sentiment.
        options: options of the corpus reader, as YAML or JSON.
        splits: encode only these splits, separated by commas.
        on_bad: what to do with media that cannot be decoded. error = report them as an error at the end; mask = store
            nothing for them.
        workers: number of worker processes, each with its own encoder; 0 = one for each CPU core. If left out, the
            encoder works in this process (openSMILE uses one process for each core). Set it for a large corpus.
        engine: local = this machine; ray = a Ray cluster (needs the extra 'ray').
        address: address of the Ray cluster. If left out, Ray is started on this machine.
        gpus: number of GPUs for each Ray actor. Set it if the encoder runs on a GPU.
        chunk: number of utterances after which their features are written. A command that is stopped loses the work on
            at most this number of utterances. Reduce it for a slow encoder.
        store: folder of the feature store. If left out: DIALOGUE_SER_CACHE, or ~/.cache/dialogue_ser.
        trust_code: allow an encoder or a reader in the file of --config that is your own code. Loading it runs that
            code, so allow only code that you trust.

    Returns:
        exit status 0.

    Raises:
        DialogueSerError: a name is unknown, a row is bad, or a clip cannot be used (all others are stored then).
    """
    # Long and with many parameters because they and the docstring are the command's flags and their help.
    if chunk < 1:
        raise ConfigError(f"--chunk {chunk}: must be at least 1")
    from dialogue_ser.training.data.corpus import corpus_of

    runner = _engine(engine, workers, address, gpus)
    corpus_flags = {"reader": reader, "path": path, "labels": labels, "options": options, "on_bad": on_bad}
    request = _request(encoder, modality, encoder_options or {}, preset, config, corpus_flags, trust_code)
    corpus = corpus_of(request.data, every_fold=True)
    names = _split_names(splits, corpus)
    feature_store = FeatureStore(store, chunk_utterances=chunk, engine=runner)
    train = [name for name in names if name in request.data.train.split("+")]
    for built, augmentation in request.encoders:
        copies = _augmented_copies(_dialogues_of(corpus, train), augmentation)
        _encode(feature_store, built, [*_dialogues_of(corpus, names), *copies])
    return 0


def _split_names(splits: str | None, corpus: Corpus) -> list[str]:
    """Return the splits that ``--splits`` names, or all. Raises ConfigError if the corpus lacks one of them."""
    names = list(corpus.splits) if splits is None else list(dict.fromkeys(map(str.strip, splits.split(","))))
    unknown = [unknown_name("split", name, corpus.splits) for name in names if name not in corpus.splits]
    if unknown:
        raise ConfigError(*(f"--splits: {problem}" for problem in unknown))
    return names


def _dialogues_of(corpus: Corpus, splits: Sequence[str]) -> list[Dialogue]:
    return [dialogue for name in splits for dialogue in corpus.splits[name]]


def _augmented_copies(train: Sequence[Dialogue], augmentation: Augmentation) -> list[Dialogue]:
    """Return the dialogues with all augmented copies of the training turns."""
    copies = range(1, augmentation.copies + 1)
    return [dialogue for copy in copies for dialogue in replace_by_variants(train, augmentation, copy)]


def _engine(name: str, workers: int | None, address: str | None, gpus: float) -> Engine | None:
    """Return the engine that the flags name; None = the one that training uses."""
    if name == "ray":
        from dialogue_ser.features.store.ray_engine import RayEngine

        return RayEngine(workers or 0, address, gpus)
    if address is not None or gpus:
        raise ConfigError("--address and --gpus need --engine ray; add it, or leave them out")
    return None if workers is None else WorkerProcesses(workers)


def _request(
    encoder: str | None,
    modality: str | None,
    encoder_options: dict[str, Any],
    preset: str | None,
    config: str | None,
    corpus_flags: Mapping[str, Any],
    trust_code: bool,
) -> _Request:
    """Return the corpus and the encoders: the settings of the preset or file, changed by the flags."""
    given = [flag for flag, value in (("--encoder", encoder), ("--preset", preset), ("--config", config)) if value]
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        raise ConfigError(f"features encode: give exactly one of --encoder, --preset and --config; found {found}")
    if encoder is None and (modality is not None or encoder_options):
        raise ConfigError(
            "--modality and --encoder_options need --encoder; a preset or file has its own modalities and options"
        )
    path = corpus_flags["path"]
    if encoder is not None and path is not None and corpus_flags["reader"] is None:
        corpus_flags = {**corpus_flags, "reader": reader_of_file(path)}
    overrides = {f"data.{key}": value for key, value in corpus_flags.items() if value is not None}
    run = _run_config(preset, config, overrides, trust_code)
    if encoder is not None:
        built = _built_encoder(encoder, modality, encoder_options, run.data.on_bad)
        return _Request(data=run.data, encoders=((built, Augmentation()),))
    return _Request(data=run.data, encoders=tuple(_encoders_of_run(run, run.data.on_bad)))


def _run_config(preset: str | None, config: str | None, overrides: Mapping[str, Any], trust_code: bool) -> "RunConfig":
    """Return the settings. Code that the file names is refused without trust; code that the flags name is not."""
    from dialogue_ser.training.config.files import code_in_settings, config_to_dict, load_record
    from dialogue_ser.training.config.overrides import apply_overrides
    from dialogue_ser.training.config.presets import load_preset
    from dialogue_ser.training.config.run_config import RunConfig

    run = RunConfig() if config is None else load_record(Path(config))
    run = apply_overrides(run if preset is None else load_preset(preset, trust_code=True), overrides)
    advice = "add --trust_code to this command if you trust this code"
    refuse_code(
        code_in_settings(config_to_dict(run), f"{config or preset}: "),
        trust_code or list(texts_in(dict(overrides))),
        advice,
    )
    return run


def _encoders_of_run(run: "RunConfig", on_bad: OnBad) -> Iterator[tuple[CheckedEncoder, Augmentation]]:
    from dialogue_ser.inputs.extractor import build_extractor

    for modality, feature in run.features.items():
        extractor, *_ = build_extractor(
            modality, feature.encoder, feature.options, has_transforms=bool(feature.transforms), on_bad=on_bad
        )
        if isinstance(extractor, CheckedEncoder):
            yield extractor, feature.augment
        else:
            print(
                f"{modality}: {feature.encoder} is trained with the model on token ids, so it has no features to store"
            )


def _built_encoder(encoder: str, modality: str | None, options: dict[str, Any], on_bad: OnBad) -> CheckedEncoder:
    """Return the encoder. If no modality is given, it is the only kind of input that the encoder reads."""
    if encoder not in ENCODERS and ":" not in encoder:
        from dialogue_ser.encoders import find_trained  # imports torch

        if find_trained(encoder) is not None:
            raise ConfigError(f"--encoder {encoder}: is trained with the model, so it has no features to store")
    if modality is not None:
        return build_encoder(encoder, modality, options, on_bad)
    built = build_encoder(encoder, "any", options, on_bad)
    input_kinds = set(built.traits.reads) & {"text", "audio"}
    if len(input_kinds) != 1:
        raise ConfigError(f"encoder {encoder!r}: name the modality that it gives with --modality, e.g. text or audio")
    return build_encoder(encoder, input_kinds.pop(), options, on_bad)


def _encode(store: FeatureStore, encoder: CheckedEncoder, dialogues: list[Dialogue]) -> None:
    title = visible(f"{encoder.modality}: {encoder.name}")
    if not encoder.traits.is_stored:
        print(f"{title}: is not stored (it only reads a file, or its source code cannot be hashed)")
        return
    with EncodingProgress(title) as progress:
        rows = store.table(encoder, dialogues, progress)
    n_turns = sum(1 for _ in utterances(dialogues))
    digest = fingerprint_digest(encoder.name, encoder.kind, encoder.fingerprint())
    rate = f" in {progress.seconds:.1f} s, {progress.n_done / progress.seconds:.1f}/s" if progress.n_done else ""
    absent = f"; {n_turns - len(rows)} have no features (no text or media, or masked)" if len(rows) < n_turns else ""
    print(f"{title} ({digest}): {n_turns} utterances; {progress.n_done} encoded now{rate}{absent}")
