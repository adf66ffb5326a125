"""Cross-fitted features: every training utterance is encoded by a model that has not been trained on its dialogue.

A fine-tuned encoder has memorised its training utterances, so a dialogue model on top would learn from vectors that
are surer of the label than those of new dialogues ever are. Here k models are trained on k−1 folds of the train
dialogues each and encode the fold they have not seen. Dev, test and all other splits are encoded by one more model,
trained on all of train: the one that would be used on new dialogues (own choice; the alternative, the mean of the k
models, costs k times as much there). Each of the k+1 begins with the same pretrained weights and seed, and chooses its
epoch on dev, as the later dialogue model does. Their vectors are alike but not in one coordinate system; their
log-probabilities (of classes) or values (of a regression) are, and can be had beside them.
"""

import json
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
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inference.loop import batches_by_length, model_outputs
from dialogue_ser.media.hashing import file_sha256
from dialogue_ser.runs.run_files import to_json
from dialogue_ser.tasks import find_task
from dialogue_ser.training.config.files import config_to_dict
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.corpus import corpus_of
from dialogue_ser.training.run import Run, train

FORMAT = 1
VECTORS, BOTH = "vectors", "both"
_PROTOCOL = "cross-fit"
_ROWS, _PROOF = "rows.safetensors", "rows.json"
_BATCH_DIALOGUES = 16


@dataclass(frozen=True, kw_only=True)
class CrossFitted:
    """What :func:`cross_fit` leaves.

    Args:
        file: features of every utterance, for the encoder ``precomputed``.
        manifest: JSON beside it.
        n_rows: utterances.
        dim: features of each.
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
    """Train k+1 models and write the features of every utterance; a second call goes on where the first was stopped.

    Args:
        config: the run that trains the encoder, e.g. preset ``meld-text-minilm-finetuned``.
        out: .parquet or .safetensors, keyed by utterance id; ``NAME.manifest.json`` beside it says how it was made.
        n_folds: over the train dialogues, dealt by ``config.seed``.
        content: ``vectors`` (what the encoders give the dialogue model), what the model says (``log-probs`` of the
            classes, or ``values`` of a regression), or ``both``.
        work: folder of the runs; None = ``NAME.folds`` beside ``out``.
        progress: as in :func:`~dialogue_ser.training.run.train`.

    Raises:
        ConfigError: fewer than two folds, a cut of its own, a file type or content that does not exist, or runs under
            other settings in ``work``.
        Interrupted: stopped by SIGTERM or Ctrl-C; the same call goes on.
        DialogueSerError: whatever a run raises.
    """
    _check(config, out, n_folds, content)
    whole = corpus_of(config.data)
    work = work or out.with_name(f"{out.stem}.folds")
    rows: dict[str, Array] = {}
    parts = [
        _part(one, whole, work / one.name, dialogues, content, rows, progress)
        for one, dialogues in _runs(config, whole, n_folds)
    ]
    order = [turn.id for some in whole.splits.values() for turn in utterances(some) if turn.id in rows]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_rows(out, {key: rows[key] for key in order})
    dim = int(rows[order[0]].shape[-1])
    described = {
        "format": FORMAT,
        "file": out.name,
        "sha256": file_sha256(out),
        "content": content,
        "n_rows": len(order),
        "dim": dim,
        "n_folds": n_folds,
        "seed": config.seed,
        "corpus": {"name": whole.name, "fingerprint": crossval_task(config, whole).fingerprint(whole)},
        "choice": "train: the model that has not seen the dialogue's fold; other splits: the model of all of train; "
        "every model's epoch is chosen on dev",
        "parts": parts,
        "config": config_to_dict(config),
    }
    manifest = out.with_name(f"{out.stem}.manifest.json")
    write_atomically(manifest, to_json(described))
    return CrossFitted(file=out, manifest=manifest, n_rows=len(order), dim=dim)


def _check(config: RunConfig, out: Path, n_folds: int, content: str) -> None:
    """Raises ConfigError for whatever cannot work, before anything is read."""
    problems = []
    if n_folds < 2:
        problems.append(f"crossfit: {n_folds} fold(s), expected at least 2")
    if config.data.cut.protocol != "none":
        problems.append(
            f"crossfit: cuts the train split itself and cannot cut by {config.data.cut.protocol} too; give "
            "--data.cut.protocol none"
        )
    if out.suffix.lower() not in WRITERS:
        problems.append(f"crossfit: {out} must end in {' or '.join(WRITERS)}")
    said = find_task(config.task).output_name
    contents = (VECTORS, said, BOTH)
    if content not in contents:
        problems.append(f"crossfit: content {content!r} of a {config.task} is none of {', '.join(contents)}")
    if config.training.ensemble > 1 and content != said:
        problems.append(f"crossfit: {config.training.ensemble} members have a vector each; ask for --content {said}")
    if problems:
        raise ConfigError(*problems)


def _runs(config: RunConfig, whole: Corpus, n_folds: int) -> Iterator[tuple[RunConfig, list[Dialogue]]]:
    """Each model's run and the dialogues it encodes: one per fold of train, then the one for all other splits."""
    learnt = config.data.train.split("+")
    dialogues = [dialogue for name in learnt for dialogue in whole.split(name)]
    for fold in make_folds(_PROTOCOL, dialogues, config.seed, n_folds):
        own = CutConfig(protocol=_PROTOCOL, fold=fold.name, seed=config.seed, n_folds=n_folds)
        one = replace(config, name=fold.name, data=replace(config.data, cut=own))
        yield one, list(select_turns(dialogues, fold.test))
    others = [dialogue for split, some in whole.splits.items() if split not in learnt for dialogue in some]
    yield replace(config, name="all"), others


def utterance_features(classifier: DialogueClassifier, dialogues: Sequence[Dialogue], content: str) -> dict[str, Array]:
    """What a model's encoders (and the model itself) say of every utterance that it can read, float32 ``[D]``.

    Args:
        classifier: trained.
        dialogues: at least one.
        content: ``vectors``, what the task's outputs are called (``log-probs`` or ``values``), or ``both`` (vectors
            first).

    Raises:
        ConfigError: vectors of a model that has no turn encoder.
    """
    model = classifier.model
    store = FeatureStore()
    tables = {name: pipeline.table(dialogues, store) for name, pipeline in classifier.pipelines.items()}
    turn_encoder = next((module for module in model.modules() if isinstance(module, TurnEncoder)), None)
    said = classifier.task.output_name
    if turn_encoder is None and content != said:
        raise ConfigError(f"crossfit: model {model.name} has no TurnEncoder to take vectors from; ask for {said}")
    seen: list[Tensor] = []
    hook = turn_encoder.register_forward_hook(lambda *call: seen.append(call[-1])) if turn_encoder is not None else None
    rows: dict[str, Array] = {}
    batches = (
        (indices, collate([dialogues[index] for index in indices], tables, classifier.task))
        for indices in batches_by_length([len(dialogue) for dialogue in dialogues], _BATCH_DIALOGUES)
    )
    wanted = (VECTORS, said) if content == BOTH else (content,)
    try:
        for _, batch, output in model_outputs(model, batches, device=next(model.parameters()).device):
            found = {said: classifier.task.outputs(output.scores_BTS), **({VECTORS: seen.pop()} if seen else {})}
            seen.clear()
            x_BTD = torch.cat([found[name].float() for name in wanted], dim=-1).cpu().numpy()
            is_present_BT = torch.stack(list(batch.is_present.values())).any(0).cpu().numpy()
            for b, ids in enumerate(batch.utterance_ids):
                rows |= {key: x_BTD[b, t].copy() for t, key in enumerate(ids) if is_present_BT[b, t]}
    finally:
        if hook is not None:
            hook.remove()
    return rows


def _part(
    config: RunConfig,
    whole: Corpus,
    folder: Path,
    dialogues: Sequence[Dialogue],
    content: str,
    rows: dict[str, Array],
    progress: bool | None,
) -> dict[str, Any]:
    """Train one model and encode its dialogues, unless that is done; adds to ``rows``, gives its manifest entry."""
    run = train(config, folder, corpus=whole, resume=(folder / "config.yaml").is_file(), progress=progress)
    proof = {"content": content, "model_sha256": file_sha256(folder / "model" / "model.safetensors")}
    if _read_proof(folder) != proof | {"rows_sha256": _digest(folder / _ROWS)}:
        found = utterance_features(run.classifier(trust_code=True), dialogues, content) if dialogues else {}
        if found:
            write_rows(folder / _ROWS, found)
        write_atomically(folder / _PROOF, to_json(proof | {"rows_sha256": _digest(folder / _ROWS)}))
    if (folder / _ROWS).is_file():
        stored = read_rows(folder / _ROWS, None, None)
        rows.update(zip(stored.keys, stored.rows, strict=True))
    return _entry(run, dialogues, proof)


def _entry(run: Run, dialogues: Sequence[Dialogue], proof: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": run.folder.name,
        "run": str(run.folder),
        "n_dialogues": len(dialogues),
        "n_utterances": sum(map(len, dialogues)),
        "best_epoch": run.best_epoch,
        "dev": run.scores.get(run.config.data.dev, {}),
        "model_sha256": proof["model_sha256"],
    }


def _read_proof(folder: Path) -> Any:
    try:
        return json.loads((folder / _PROOF).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _digest(path: Path) -> str | None:
    return file_sha256(path) if path.is_file() else None
