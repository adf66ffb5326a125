"""Cross-fitted features: a model that was not trained on a dialogue encodes the utterances of this dialogue.

A fine-tuned encoder has memorised its training utterances. Its vectors of them show the label more clearly than its
vectors of new dialogues. A dialogue model that learns from such vectors would trust them too much.

Therefore k models are trained. Each is trained on k−1 folds of the train dialogues and encodes the remaining fold. One
more model is trained on all train dialogues, like the model for new dialogues, and encodes dev, test and all other
splits. This is an own choice; the mean of the k models would cost k times as much there. All k+1 models begin with the
same pretrained weights and the same seed, and each chooses its epoch on dev, as the later dialogue model does.

The vectors of different models are similar, but they do not share one coordinate system. The log-probabilities of
classes, or the values of a regression, do share one. They can be stored instead of the vectors or together with them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dialogue_ser.batch.collate import collate
from dialogue_ser.corpus.cut import CutConfig, make_folds, select_turns
from dialogue_ser.corpus.schema import Corpus, Dialogue, utterances
from dialogue_ser.durable import write_atomically
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.crossval.fold_run import crossval_task
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.files.tables import WRITERS, read_rows, write_rows
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.foreign_text.json_text import read_json
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inference.loop import batches_by_length, model_outputs
from dialogue_ser.media.hashing import file_sha256
from dialogue_ser.runs.lock import run_lock
from dialogue_ser.runs.run_files import to_json
from dialogue_ser.tasks import find_task
from dialogue_ser.training.config.files import code_of_run, config_to_dict
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.corpus import corpus_of, log_warnings
from dialogue_ser.training.run import Run, train

FORMAT = 1
VECTORS, BOTH = "vectors", "both"
_PROTOCOL = "cross-fit"
#: Files in the folder of a run: the features of its dialogues, and a record of the model that they were made with.
_ROWS, _RECORD = "rows.safetensors", "rows.json"
_BATCH_DIALOGUES = 16


@dataclass(frozen=True, kw_only=True)
class CrossFitted:
    """The files that :func:`cross_fit` has written.

    Args:
        file: file with the features of every utterance, for the encoder ``precomputed``.
        manifest: JSON file that describes how they were made.
        n_rows: number of utterances.
        dim: number of features per utterance.
    """

    file: Path
    manifest: Path
    n_rows: int
    dim: int


def cross_fit(
    config: RunConfig,
    out: Path,
    *,
    n_folds: int = 5,
    content: str = "vectors",
    work: Path | None = None,
    progress: bool | None = None,
) -> CrossFitted:
    """Train k+1 models and write the features of every utterance. If the call was stopped, the same call continues it.

    Args:
        config: settings of the run that trains the encoder, e.g. preset ``meld-text-minilm-finetuned``.
        out: file to write, .parquet or .safetensors, keyed by utterance id. ``NAME.manifest.json`` in the same folder
            describes how it was made.
        n_folds: number of folds k of the train dialogues. ``config.seed`` decides which dialogue is in which fold.
        content: ``vectors`` (what the encoders give to the dialogue model), the outputs of the model (``log-probs``
            for classes, ``values`` for a regression), or ``both``.
        work: folder of the runs; None = ``NAME.folds`` in the folder of ``out``.
        progress: see :func:`~dialogue_ser.training.run.train`.

    Raises:
        ConfigError: there are fewer than two folds, the configuration cuts the corpus itself, the file type or the
            content does not exist, or ``work`` has runs with other settings.
        Interrupted: the call was stopped by SIGTERM or Ctrl-C.
        DialogueSerError: a run cannot be trained.
    """
    _check_arguments(config, out, n_folds, content)
    corpus = corpus_of(config.data)
    log_warnings(corpus)
    work = work or out.with_name(f"{out.stem}.folds")
    rows: dict[str, Array] = {}
    with run_lock(work):
        parts = [
            _train_and_encode(run_config, corpus, work / run_config.name, dialogues, content, rows, progress)
            for run_config, dialogues in _planned_runs(config, corpus, n_folds)
        ]
    order = [turn.id for some in corpus.splits.values() for turn in utterances(some) if turn.id in rows]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_rows(out, {key: rows[key] for key in order})
    made = CrossFitted(
        file=out,
        manifest=out.with_name(f"{out.stem}.manifest.json"),
        n_rows=len(order),
        dim=int(rows[order[0]].shape[-1]),
    )
    write_atomically(made.manifest, to_json(_manifest(made, config, corpus, content, n_folds, parts)))
    return made


def _manifest(
    made: CrossFitted, config: RunConfig, corpus: Corpus, content: str, n_folds: int, parts: Sequence[Any]
) -> dict[str, Any]:
    """Return the description of the file: what it contains, and which models made it from which corpus."""
    return {
        "format": FORMAT,
        "file": made.file.name,
        "sha256": file_sha256(made.file),
        "content": content,
        "n_rows": made.n_rows,
        "dim": made.dim,
        "n_folds": n_folds,
        "seed": config.seed,
        "corpus": {"name": corpus.name, "fingerprint": crossval_task(config, corpus).fingerprint(corpus)},
        "choice": "train: the model that has not seen the dialogue's fold; other splits: the model of all of train; "
        "every model's epoch is chosen on dev",
        "parts": list(parts),
        "config": config_to_dict(config),
    }


def _check_arguments(config: RunConfig, out: Path, n_folds: int, content: str) -> None:
    """Raise ConfigError for arguments that cannot work, before anything is read."""
    problems = []
    if n_folds < 2:
        problems.append(f"crossfit: found {n_folds} fold(s), expected at least 2")
    if config.data.cut.protocol != "none":
        problems.append(
            f"crossfit: it cuts the train split itself, so it cannot also cut by {config.data.cut.protocol}; give "
            "--data.cut.protocol none"
        )
    if out.suffix.lower() not in WRITERS:
        problems.append(f"crossfit: {out} must end in {' or '.join(WRITERS)}")
    output_name = find_task(config.task).output_name
    contents = (VECTORS, output_name, BOTH)
    if content not in contents:
        problems.append(f"crossfit: content {content!r} of a {config.task} is none of {', '.join(contents)}")
    if config.training.ensemble > 1 and content != output_name:
        problems.append(
            f"crossfit: {config.training.ensemble} members have a vector each, but only one can be stored; use "
            f"--content {output_name}"
        )
    if problems:
        raise ConfigError(*problems)


def _planned_runs(config: RunConfig, corpus: Corpus, n_folds: int) -> Iterator[tuple[RunConfig, list[Dialogue]]]:
    """Yield the settings of each run and the dialogues that its model encodes.

    There is one run per fold of train, and a last one for all other splits.
    """
    wandb = replace(config.wandb, group=config.wandb.group or config.name, job_type="fold")
    config = replace(config, wandb=wandb)
    train_splits = config.data.train.split("+")
    dialogues = [dialogue for name in train_splits for dialogue in corpus.split(name)]
    for fold in make_folds(_PROTOCOL, dialogues, config.seed, n_folds):
        cut = CutConfig(protocol=_PROTOCOL, fold=fold.name, seed=config.seed, n_folds=n_folds)
        fold_config = replace(config, name=fold.name, data=replace(config.data, cut=cut))
        yield fold_config, list(select_turns(dialogues, fold.test))
    others = [dialogue for split, some in corpus.splits.items() if split not in train_splits for dialogue in some]
    yield replace(config, name="all"), others


def utterance_features(classifier: DialogueClassifier, dialogues: Sequence[Dialogue], content: str) -> dict[str, Array]:
    """Return utterance id → its vector or the model's outputs, float32 ``[D]``, for every utterance the model can read.

    Args:
        classifier: trained model.
        dialogues: at least one dialogue.
        content: ``vectors``; the name of the task's outputs (``log-probs`` or ``values``); or ``both``, which puts the
            vectors first.

    Raises:
        ConfigError: the content includes vectors, but the model has no turn encoder.
    """
    model = classifier.model
    store = FeatureStore()
    tables = {name: pipeline.table(dialogues, store) for name, pipeline in classifier.pipelines.items()}
    turn_encoder = next((module for module in model.modules() if isinstance(module, TurnEncoder)), None)
    output_name = classifier.task.output_name
    if turn_encoder is None and content != output_name:
        raise ConfigError(
            f"crossfit: model {model.name} has no TurnEncoder that gives vectors; use --content {output_name}"
        )
    vectors: list[Tensor] = []  # output of the turn encoder for the current batch
    hook = None
    if turn_encoder is not None:
        hook = turn_encoder.register_forward_hook(lambda *call: vectors.append(call[-1]))
    rows: dict[str, Array] = {}
    batches = (
        (indices, collate([dialogues[index] for index in indices], tables, classifier.task))
        for indices in batches_by_length([len(dialogue) for dialogue in dialogues], _BATCH_DIALOGUES)
    )
    wanted = (VECTORS, output_name) if content == BOTH else (content,)
    try:
        for _, batch, output in model_outputs(model, batches, device=next(model.parameters()).device):
            found = {output_name: classifier.task.outputs(output.scores_BTS)}
            if vectors:
                found[VECTORS] = vectors.pop()
            vectors.clear()
            x_BTD = torch.cat([found[name].float() for name in wanted], dim=-1).cpu().numpy()
            is_present_BT = torch.stack(list(batch.is_present.values())).any(0).cpu().numpy()
            for b, ids in enumerate(batch.utterance_ids):
                rows |= {key: x_BTD[b, t].copy() for t, key in enumerate(ids) if is_present_BT[b, t]}
    finally:
        if hook is not None:
            hook.remove()
    return rows


def _train_and_encode(
    config: RunConfig,
    corpus: Corpus,
    folder: Path,
    dialogues: Sequence[Dialogue],
    content: str,
    rows: dict[str, Array],
    progress: bool | None,
) -> dict[str, Any]:
    """Train one model and encode its dialogues. Add the features to ``rows`` and return the manifest entry.

    Work that an earlier call has finished is not done again.
    """
    run = train(config, folder, corpus=corpus, resume=(folder / "config.yaml").is_file(), progress=progress)
    record = {"content": content, "model_sha256": file_sha256(folder / "model" / "model.safetensors")}
    if _read_record(folder) != record | {"rows_sha256": _digest(folder / _ROWS)}:
        found = (
            utterance_features(run.classifier(trust_code=code_of_run(config)), dialogues, content) if dialogues else {}
        )
        if found:
            write_rows(folder / _ROWS, found)
        write_atomically(folder / _RECORD, to_json(record | {"rows_sha256": _digest(folder / _ROWS)}))
    if (folder / _ROWS).is_file():
        stored = read_rows(folder / _ROWS, None, None)
        rows.update(zip(stored.keys, stored.rows, strict=True))
    return _manifest_entry(run, dialogues, record)


def _manifest_entry(run: Run, dialogues: Sequence[Dialogue], record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": run.folder.name,
        "run": str(run.folder),
        "n_dialogues": len(dialogues),
        "n_utterances": sum(map(len, dialogues)),
        "best_epoch": run.best_epoch,
        "dev": run.scores.get(run.config.data.dev, {}),
        "model_sha256": record["model_sha256"],
    }


def _read_record(folder: Path) -> Any:
    try:
        return read_json(folder / _RECORD)
    except (OSError, ValueError):
        return None


def _digest(path: Path) -> str | None:
    return file_sha256(path) if path.is_file() else None
