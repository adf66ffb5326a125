"""``dialogue-ser attention MODEL UTTERANCE``."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from dialogue_ser.inference.attention_maps import AttentionMap


def attention(
    model: str,
    utterance: str,
    out: str = "attention.png",
    modality: str | None = None,
    theme: Literal["light", "dark"] = "light",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    trust_code: bool = False,
) -> None:
    """Draw the attention of the model's encoders inside one utterance: one map for each attention head.

    Args:
        model: run directory, model folder or hub id. Of an ensemble the first member is used; RUN/members/2 is the
            second one.
        utterance: id of an utterance of the run's corpus, e.g. train/dia0_utt3, or a sound file.
        out: file of the picture; its name ends in .png.
        modality: draw only the encoder of this modality. If left out, all encoders with attention are drawn.
        theme: colours of the picture: for a light or for a dark page.
        device: device for the computation: cpu, cuda (a GPU), or auto, which takes a GPU if there is one.
        trust_code: allow a model, an encoder or a reader of the run that is your own code. Loading it runs that code,
            so allow only code that you trust.
    """
    target = Path(out)
    if target.suffix.lower() != ".png":
        raise ConfigError(f"--out {out}: {unknown_name('ending', target.suffix, ['.png'])}")
    if not target.parent.is_dir():
        raise ConfigError(f"--out {out}: the folder {target.parent} does not exist; create it or write elsewhere")
    from dialogue_ser.durable import write_atomically
    from dialogue_ser.inference.classifier import DialogueClassifier
    from dialogue_ser.report.figures.frame_attention import FrameMap, frame_attention
    from dialogue_ser.report.figures.theme import to_png

    dialogues, name = _dialogues_with(utterance, Path(model), trust_code)
    classifier = DialogueClassifier.from_pretrained(model, device=device, trust_code=trust_code)
    if not any(t.is_transductive for p in classifier.pipelines.values() for t in p.transforms):
        dialogues = [one for one in dialogues if any(turn.id == name for turn in one)]
    maps = _of_modality(classifier.attention_maps(dialogues, utterance_ids=[name]), modality, name)
    panels = [
        FrameMap(name=f"{one.modality}, {head}", weights_LL=weights_LL, step_seconds=one.step_seconds)
        for one in maps
        for head, weights_LL in zip(one.names, one.weights_HLL, strict=True)
    ]
    label = next(turn.label for turn in utterances(dialogues) if turn.id == name)
    write_atomically(target, to_png(frame_attention(panels, f"{name} ({label})" if label else name, theme)))
    print(f"{len(panels)} attention heads: {target}")


def _dialogues_with(utterance: str, model: Path, trust_code: bool) -> tuple[Sequence[Dialogue], str]:
    """Return the dialogues that contain an utterance, and its id. A sound file becomes a dialogue of one turn.

    Raises:
        ConfigError: ``utterance`` is neither a file nor an utterance of the run's corpus, or the configuration of the
            run names code that is not trusted.
    """
    if Path(utterance).is_file():
        from dialogue_ser.inference.conversations import as_dialogues

        dialogues = as_dialogues([{"audio": Path(utterance)}])
        return dialogues, dialogues[0].utterances[0].id
    if not (model / "config.yaml").is_file():
        raise ConfigError(
            f"{utterance}: no such sound file, and {model} is no run directory; give a sound file, or a run directory "
            "and the id of an utterance in its corpus"
        )
    from dialogue_ser.training.config.files import load_config
    from dialogue_ser.training.data.corpus import corpus_of

    corpus = corpus_of(load_config(model / "config.yaml", trust_code=trust_code).data, every_fold=True)
    found = [dialogue for split in corpus.splits.values() for dialogue in split]
    ids = [turn.id for turn in utterances(found)]
    if utterance not in ids:
        near = get_close_matches(utterance, ids, n=1) or ids[:1]
        raise ConfigError(
            f"{utterance}: is neither a file nor an utterance of {corpus.name}; an id looks like this: {near[0]}"
        )
    return found, utterance


def _of_modality(maps: "Sequence[AttentionMap]", modality: str | None, name: str) -> "Sequence[AttentionMap]":
    """Return the maps of one modality, or all if it is None. Raises ConfigError if there are none."""
    known = [one.modality for one in maps]
    if not known:
        raise ConfigError(f"{name}: has no text or audio for the encoders with attention; choose another utterance")
    if modality is not None and modality not in known:
        raise ConfigError(f"--modality: {unknown_name('modality', modality, known)}")
    return [one for one in maps if modality in (None, one.modality)]
