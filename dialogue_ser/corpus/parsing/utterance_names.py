"""Utterances with one name in different folders, such as DC/a01.wav and JE/a01.wav, get names of their own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dialogue_ser.corpus.parsing.turns import Turn

_SHOWN = 5


def with_own_names(turns: Sequence[Turn], split: str, folder: Path, warnings: list[str]) -> list[Turn]:
    """Return the turns of a split. Where several have the same utterance id, it becomes the path of their audio.

    The path is relative and has no suffix: ``DC/a01``. Ids that are numbers count inside their dialogue and do not
    change. If some of the turns have no audio or the same file, nothing changes, and the error names both rows.

    Args:
        turns: the turns of one split.
        split: its name.
        folder: folder of the audio paths.
        warnings: gets a sentence if ids were changed.
    """
    members: dict[str, list[Turn]] = {}
    for turn in turns:
        if turn.number and not turn.number.isdigit():
            members.setdefault(turn.number, []).append(turn)
    renamed: dict[str, str] = {}
    paths: dict[str, str] = {}
    for name, group in members.items():
        own = [_path(turn, folder) for turn in group] if len(group) > 1 else []
        if len(set(own)) > 1 and len(set(own)) == len(group) and all(own):
            renamed[name] = own[0]
            paths |= {turn.utterance.origin: path for turn, path in zip(group, own, strict=True)}
    if not renamed:
        return list(turns)
    shown = ", ".join(list(renamed)[:_SHOWN]) + (f", … {len(renamed) - _SHOWN} more" if len(renamed) > _SHOWN else "")
    warnings.append(
        f"{split}: {len(renamed):,} utterance ids name several rows, whose audio lies in different folders ({shown}); "
        f"the ids of these {len(paths):,} rows are their audio paths, e.g. {split}/{next(iter(renamed.values()))}"
    )
    return [replace(turn, number=paths.get(turn.utterance.origin, turn.number)) for turn in turns]


def _path(turn: Turn, folder: Path) -> str:
    """Return the relative path of a turn's audio without its suffix; "" = the turn has no audio."""
    audio = turn.utterance.audio
    if audio is None:
        return ""
    root = folder.resolve()
    path = audio.path.relative_to(root) if audio.path.is_relative_to(root) else audio.path
    return path.with_suffix("").as_posix()
