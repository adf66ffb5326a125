"""IEMOCAP (Busso et al., LREV 2008) in its released layout: ten actors in five sessions, acting and improvising."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dialogue_ser.corpus.download.locate import find_data
from dialogue_ser.corpus.label_maps import IEMOCAP_MAPS, LabelMap
from dialogue_ser.corpus.parsing.emo_evaluation import Evaluation, read_evaluations, read_transcript
from dialogue_ser.corpus.schema import VAD, AudioRef, Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.corpus.validate import problems_of
from dialogue_ser.corpus.votes import Ties, decide
from dialogue_ser.errors import ConfigError, CorpusError, MissingDataError, unknown_name

#: The corpus comes without splits: protocols (`dialogue-ser crossval`) cut it.
SPLIT = "all"
EVALUATIONS, TRANSCRIPTS, CLIPS = "dialog/EmoEvaluation", "dialog/transcriptions", "sentences/wav"

#: The label set that is none: turns count by their valence, arousal and dominance, whatever their class.
NO_CLASSES = "vad"
#: Annotators rate from 1 to 5. The release also holds means a little outside, which stay and are counted; a mean beyond
#: these bounds (the lower one excluded) can be no rating.
SCALE, POSSIBLE = (1.0, 5.0), (0.0, 5.5)

_GENDERS = {"F": "female", "M": "male"}


def read_iemocap(
    path: str | Path | None = None,
    labels: str = "emotion",
    view: Literal["utterance", "dialogue"] = "utterance",
    scenario: Literal["mixed", "improvised", "scripted"] = "mixed",
    ties: Ties = "unlabelled",
    encoding: str = "utf-8",
    on_bad: str = "error",
) -> Corpus:
    """Read ``Session1`` to ``Session5`` of the release, or those of them that are there.

    A dialogue that has a transcript and no evaluation is left out and counted in the warnings.

    All turns are in the split ``all``, with ids such as ``all/Ses01F_impro01_F000``. Speakers are ``Ses01F``,
    ``Ses01M``, …: who speaks in the turn, not who wore the markers in its dialogue. Votes are those of the annotators;
    times are inside the dialogue, the sound is the turn's own file. Targets are the annotators' mean valence, arousal
    and dominance, from 1 to 5, whatever the label set. Attributes: ``session`` (``1`` to ``5``), ``scenario``
    (``improvised``, ``scripted``), ``gender`` (``female``, ``male``).

    Args:
        path: folder of the sessions; None = ``find_data("iemocap")``.
        labels: a name in :data:`~dialogue_ser.corpus.label_maps.IEMOCAP_MAPS`: emotion or 10-class (every class), all
            (with turns without a majority as a class), 6-class, 5-class and 4-class (excited is happy), shared-4, …; or
            vad: no classes, every turn that has targets.
        view: ``utterance`` makes each turn a dialogue of its own and leaves out turns without a place in the label set
            (vad: without targets); ``dialogue`` keeps dialogues whole, ordered by the turns' starts (they overlap),
            such turns unlabelled.
        scenario: which recordings; ``mixed`` = both.
        ties: what becomes of turns without a majority, see :data:`~dialogue_ser.corpus.votes.Ties`.
        encoding: of the texts.
        on_bad: ``mask`` leaves a turn without sound, or a dialogue without transcripts, where the file is missing, and
            counts them in the warnings; ``error`` lists them.

    Raises:
        MissingDataError: no such folder, or no session in it.
        ConfigError: unknown label set.
        CorpusError: bad lines, missing files: all of them.
    """
    if labels not in (*IEMOCAP_MAPS, NO_CLASSES):
        raise ConfigError(f"reader iemocap: {unknown_name('label set', labels, [*IEMOCAP_MAPS, NO_CLASSES])}")
    label_map = IEMOCAP_MAPS.get(labels)
    found = _Found(label_map=label_map, view=view, ties=ties, encoding=encoding)
    dialogues: list[Dialogue] = []
    for session in _sessions(path):
        files = sorted((session / EVALUATIONS).glob("Ses*.txt"))
        found.note_unevaluated(session, files)
        for file in files:
            if scenario in ("mixed", _scenario(file.stem)):
                turns = tuple(found.turns(session, file))
                whole = [Dialogue(f"{SPLIT}/{file.stem}", turns)] if turns else []
                dialogues += whole if view == "dialogue" else (Dialogue(turn.id, (turn,)) for turn in turns)
    warnings = found.warnings(labels)
    problems = found.problems
    (warnings if on_bad == "mask" else problems).extend(found.missing_files(on_bad))
    corpus = Corpus(
        name="iemocap",
        label_set=None if label_map is None else LabelSet(labels, label_map.classes),
        dimensions=VAD,
        splits={SPLIT: tuple(dialogues)},
        licence="IEMOCAP release licence, on request from SAIL, University of Southern California; language: English",
        warnings=tuple(warnings),
    )
    if problems:
        raise CorpusError(*problems, *(problems_of(corpus) if dialogues else []))
    return corpus


@dataclass(slots=True, kw_only=True)
class _Found:
    """How the files are read, and what is gathered on the way through them."""

    label_map: LabelMap | None
    view: str
    ties: Ties
    encoding: str
    problems: list[str] = field(default_factory=list)
    unknown_votes: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    no_transcripts: list[str] = field(default_factory=list)
    unevaluated: list[str] = field(default_factory=list)
    unrated: list[str] = field(default_factory=list)
    partly_rated: list[str] = field(default_factory=list)
    off_scale: list[str] = field(default_factory=list)
    impossible: list[str] = field(default_factory=list)
    n_heard: int = 0
    n_soft: int = 0
    n_undecided: int = 0
    n_outside: int = 0

    def note_unevaluated(self, session: Path, files: Sequence[Path]) -> None:
        """Remember dialogues of a session that have a transcript and no evaluation: none of their turns is known."""
        transcripts = {file.name for file in (session / TRANSCRIPTS).glob("Ses*.txt")}
        self.unevaluated += sorted(transcripts - {file.name for file in files})

    def turns(self, session: Path, file: Path) -> Iterator[Utterance]:
        """The utterances of one dialogue that belong into the view, in the order they begin."""
        evaluations = read_evaluations(file, self.encoding, self.problems, self.unknown_votes)
        transcript = session / TRANSCRIPTS / file.name
        texts: Mapping[str, str] | None = None
        if transcript.is_file():
            texts = read_transcript(transcript, self.encoding, self.problems)
        else:
            self.no_transcripts.append(f"{session.name}/{TRANSCRIPTS}/{file.name}")
        folder = session / CLIPS / file.stem
        clips = {clip.name for clip in folder.iterdir()} if folder.is_dir() else set()
        for turn in evaluations:
            label, votes = self._decided(turn)
            targets = self._targets(turn)
            counts = bool(targets) if self.label_map is None else label is not None or votes is not None
            if self.view == "dialogue" or counts:
                yield Utterance(
                    id=f"{SPLIT}/{turn.turn}",
                    speaker=f"{turn.turn[:5]}{turn.speaker}",
                    text=self._text(turn, texts),
                    audio=self._audio(folder, f"{turn.turn}.wav", clips),
                    label=label,
                    votes=votes,
                    start_seconds=turn.start_seconds,
                    end_seconds=turn.end_seconds,
                    origin=turn.origin,
                    attributes={
                        "session": session.name.removeprefix("Session"),
                        "scenario": _scenario(file.stem),
                        "gender": _GENDERS[turn.speaker],
                    },
                    targets=targets,
                )

    def _decided(self, turn: Evaluation) -> tuple[str | None, dict[str, float] | None]:
        if self.label_map is None:
            return None, None
        label, votes = decide(turn.majority, turn.choices, self.label_map, self.ties)
        self.n_outside += turn.majority is not None and label is None
        self.n_soft += label is None and votes is not None
        self.n_undecided += turn.majority is None and label is None and votes is None
        return label, votes

    def _targets(self, turn: Evaluation) -> dict[str, float]:
        values = {}
        for name, value in turn.ratings.items():
            if not POSSIBLE[0] < value <= POSSIBLE[1]:
                self.impossible.append(f"{turn.turn}: {name} {value:g}")
                continue
            if not SCALE[0] <= value <= SCALE[1]:
                self.off_scale.append(f"{turn.turn}: {name} {value:g}")
            values[name] = value
        if len(values) < len(VAD):
            (self.partly_rated if values else self.unrated).append(turn.turn)
        return values

    def _text(self, turn: Evaluation, texts: Mapping[str, str] | None) -> str | None:
        if texts is not None and turn.turn not in texts:
            self.untold.append(turn.turn)
        return (texts or {}).get(turn.turn) or None

    def _audio(self, folder: Path, clip: str, clips: Collection[str]) -> AudioRef | None:
        if clip in clips:
            self.n_heard += 1
            return AudioRef(folder / clip)
        self.silent.append("/".join((*folder.parts[-4:], clip)))
        return None

    def missing_files(self, on_bad: str) -> list[str]:
        """One sentence per missing file, or their counts where they are masked."""
        if on_bad == "mask":
            counts = {"turns have no clip": self.silent, "dialogues have no transcripts": self.no_transcripts}
            return [f"{len(names)} {what} and are masked ({_some(names)})" for what, names in counts.items() if names]
        mend = "add it, or mask what is missing (--data.on_bad mask)"
        silent = self.silent
        if silent and not self.n_heard:
            silent = [f"{silent[0]} (as all of the {len(silent)} clips)"]
        return [f"{name}: no such file; {mend}" for name in (*silent, *self.no_transcripts)]

    def warnings(self, labels: str) -> list[str]:
        """What was kept, or left out, and is worth knowing."""
        fate = "left out" if self.view == "utterance" else "unlabelled"
        said = []
        if self.n_soft:
            said.append(f"{self.n_soft} turns have no majority and keep only their votes (ties: soft)")
        if self.n_undecided:
            said.append(f"{self.n_undecided} turns have no majority and are {fate} (ties: {self.ties})")
        if self.n_outside:
            said.append(f"{self.n_outside} turns have a class outside {labels} and are {fate}")
        said += self._said_of_ratings()
        if self.unevaluated:
            said.append(
                f"{len(self.unevaluated)} dialogues have no evaluation and are left out ({_some(self.unevaluated)})"
            )
        if self.untold:
            said.append(f"{len(self.untold)} turns have no transcript ({_some(self.untold)})")
        if self.unknown_votes:
            said.append(
                f"{len(self.unknown_votes)} votes are for no class and do not count ({_some(self.unknown_votes)})"
            )
        return said

    def _said_of_ratings(self) -> list[str]:
        left = " and are left out" if self.label_map is None and self.view == "utterance" else ""
        low, high = SCALE
        counts = {
            f"turns have no valence, arousal and dominance{left}": self.unrated,
            "turns lack one or two of valence, arousal and dominance": self.partly_rated,
            f"ratings lie outside {low:g} to {high:g} and are kept": self.off_scale,
            "ratings can be no mean of ratings and do not count": self.impossible,
        }
        return [f"{len(names)} {what} ({_some(names)})" for what, names in counts.items() if names]


def _sessions(path: str | Path | None) -> list[Path]:
    folder = find_data("iemocap") if path is None else Path(path)
    sessions = sorted(place for place in folder.glob("Session[1-5]") if place.is_dir())
    if not any((place / EVALUATIONS).is_dir() for place in sessions):
        raise MissingDataError(
            f"{folder}: no Session1/{EVALUATIONS}; give the folder of IEMOCAP's sessions (--data.path). The corpus is "
            "licensed on request: https://sail.usc.edu/iemocap/"
        )
    return sessions


def _scenario(dialogue: str) -> str:
    """Ses01F_impro01 is improvised, Ses01F_script01_1 is not."""
    return "improvised" if dialogue.split("_")[1].startswith("impro") else "scripted"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
