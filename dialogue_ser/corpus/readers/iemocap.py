"""IEMOCAP (Busso et al., LREV 2008) in the layout of its release: five sessions, each with two actors."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dialogue_ser.corpus.download.locate import find_data
from dialogue_ser.corpus.label_maps import IEMOCAP_MAPS, LabelMap
from dialogue_ser.corpus.parsing.emo_evaluation import Evaluation, read_evaluations, read_transcript
from dialogue_ser.corpus.schema import VAD, AudioRef, Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.corpus.stray_files import SetAside
from dialogue_ser.corpus.validate import corpus_problems
from dialogue_ser.corpus.votes import Ties, decide_label
from dialogue_ser.errors import ConfigError, CorpusError, MissingDataError, unknown_name

#: The corpus is published without splits. Protocols cut it (`dialogue-ser crossval`).
SPLIT = "all"
EVALUATIONS, TRANSCRIPTS, CLIPS = "dialog/EmoEvaluation", "dialog/transcriptions", "sentences/wav"

#: With this value of ``labels`` the corpus has no classes. Only valence, arousal and dominance are used.
NO_CLASSES = "vad"
#: Annotators rate from 1 to 5. Some means in the release are a little outside this scale. They stay, and a warning
#: counts them. A mean that is outside POSSIBLE, or equal to its lower bound, cannot be a rating and is left out.
SCALE, POSSIBLE = (1.0, 5.0), (0.0, 5.5)

_SESSION_OF_DIALOGUE = re.compile(r"Ses(\d\d)")
_GENDERS = {"F": "female", "M": "male"}


# Longer than 50 lines because every option of the reader is a parameter that the docstring explains.
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

    A dialogue that has a transcript but no evaluation is left out, and a warning counts it.

    All turns are in the split ``all``. Their ids are e.g. ``all/Ses01F_impro01_F000``. Speakers are ``Ses01F``,
    ``Ses01M``, …: the person who speaks in the turn, not the person who wore the markers in its dialogue. Votes are the
    votes of the annotators. Times are inside the dialogue, but each turn has its own sound file. Targets are the
    annotators' mean valence, arousal and dominance, from 1 to 5; they do not depend on the label set. Attributes:
    ``session`` (``1`` to ``5``), ``scenario`` (``improvised``, ``scripted``), ``gender`` (``female``, ``male``).

    Args:
        path: folder of the sessions; None = ``find_data("iemocap")``.
        labels: a name in :data:`~dialogue_ser.corpus.label_maps.IEMOCAP_MAPS`: emotion or 10-class (all classes), all
            (turns without a majority are a class too), 6-class, 5-class or 4-class (excited is happy), shared-4, …; or
            vad: no classes, only turns with targets.
        view: ``utterance`` makes each turn a dialogue of its own, and leaves out turns that have no class of the label
            set (vad: no targets). ``dialogue`` keeps dialogues whole, and such turns are unlabelled. The turns are
            sorted by their start, because they overlap.
        scenario: the recordings to read; ``mixed`` = both kinds.
        ties: what happens to turns without a majority, see :data:`~dialogue_ser.corpus.votes.Ties`.
        encoding: encoding of the texts.
        on_bad: ``error`` lists missing clips and transcripts, and evaluations that lie in the folder of another
            session. ``mask`` leaves turns without their missing sound or text, and warnings count them. It sets such
            evaluations aside.

    Raises:
        MissingDataError: the folder does not exist or holds no session.
        ConfigError: the label set is unknown.
        CorpusError: lines are bad or files are missing. The error lists all of them.
    """
    if labels not in (*IEMOCAP_MAPS, NO_CLASSES):
        raise ConfigError(f"reader iemocap: {unknown_name('label set', labels, [*IEMOCAP_MAPS, NO_CLASSES])}")
    label_map = IEMOCAP_MAPS.get(labels)
    sessions = _sessions(path)
    aside = SetAside(sessions[0].parent, on_bad)
    conversion = _Conversion(label_map=label_map, view=view, ties=ties, encoding=encoding, aside=aside)
    dialogues: list[Dialogue] = []
    for session in sessions:
        files = sorted((session / EVALUATIONS).glob("Ses*.txt"))
        conversion.note_unevaluated(session, files)
        for file in conversion.own_files(session, files):
            if scenario in ("mixed", _scenario(file.stem)):
                dialogues += conversion.dialogues(session, file)
    warnings = [*conversion.aside.warnings, *conversion.warnings(labels)]
    problems = [*conversion.aside.problems, *conversion.problems]
    (warnings if on_bad == "mask" else problems).extend(conversion.missing_files(on_bad))
    corpus = Corpus(
        name="iemocap",
        label_set=None if label_map is None else LabelSet(labels, label_map.classes),
        dimensions=VAD,
        splits={SPLIT: tuple(dialogues)},
        licence="IEMOCAP release licence, on request from SAIL, University of Southern California; language: English",
        warnings=tuple(warnings),
    )
    if problems:
        raise CorpusError(*problems, *(corpus_problems(corpus) if dialogues else []))
    return corpus


@dataclass(slots=True, kw_only=True)
class _Conversion:
    """Convert the evaluations into utterances. The lists and numbers collect what warnings and errors need.

    Args:
        label_map: map to the label set; None = there are no classes.
        view: ``utterance`` or ``dialogue``.
        ties: policy for turns without a majority.
        encoding: encoding of the texts.
        aside: evaluations in the folder of another session.
        problems: one sentence for each line that cannot be read.
        unknown_votes: votes for words that are not a class.
        without_clip: clips that are missing.
        without_text: turns that are not in the transcript.
        no_transcripts: transcripts that are missing.
        unevaluated: dialogues with a transcript but without an evaluation.
        unrated: turns without any target.
        partly_rated: turns with some of the targets.
        off_scale: ratings that are outside SCALE but possible.
        impossible: ratings outside POSSIBLE.
        n_clips: number of clips that were found.
        n_soft: number of turns that have no label but keep their votes.
        n_undecided: number of turns without a majority that have neither a label nor votes.
        n_outside: number of turns whose class is not in the label set.
    """

    label_map: LabelMap | None
    view: str
    ties: Ties
    encoding: str
    aside: SetAside
    problems: list[str] = field(default_factory=list)
    unknown_votes: list[str] = field(default_factory=list)
    without_clip: list[str] = field(default_factory=list)
    without_text: list[str] = field(default_factory=list)
    no_transcripts: list[str] = field(default_factory=list)
    unevaluated: list[str] = field(default_factory=list)
    unrated: list[str] = field(default_factory=list)
    partly_rated: list[str] = field(default_factory=list)
    off_scale: list[str] = field(default_factory=list)
    impossible: list[str] = field(default_factory=list)
    n_clips: int = 0
    n_soft: int = 0
    n_undecided: int = 0
    n_outside: int = 0

    def own_files(self, session: Path, files: Sequence[Path]) -> Iterator[Path]:
        """Yield the evaluations that belong to a session. Those of another session are collected."""
        for file in files:
            number = _SESSION_OF_DIALOGUE.match(file.stem)
            if number is None or int(number[1]) == int(session.name.removeprefix("Session")):
                yield file
            else:
                self.aside.add(file, f"lies in {session.name}, but its name says session {int(number[1])}")

    def note_unevaluated(self, session: Path, files: Sequence[Path]) -> None:
        """Collect the dialogues of a session that have a transcript but no evaluation."""
        transcripts = {file.name for file in (session / TRANSCRIPTS).glob("Ses*.txt")}
        self.unevaluated += sorted(transcripts - {file.name for file in files})

    def dialogues(self, session: Path, file: Path) -> list[Dialogue]:
        """Read one evaluation: as one dialogue, or with the view ``utterance`` as one dialogue for each turn."""
        turns = tuple(self._turns(session, file))
        if self.view == "dialogue":
            return [Dialogue(f"{SPLIT}/{file.stem}", turns)] if turns else []
        return [Dialogue(turn.id, (turn,)) for turn in turns]

    def _turns(self, session: Path, file: Path) -> Iterator[Utterance]:
        """Yield the utterances of one dialogue that the view includes, in the order of their starts."""
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
            label, votes = self._label_and_votes(turn)
            targets = self._targets(turn)
            is_annotated = bool(targets) if self.label_map is None else label is not None or votes is not None
            if self.view == "dialogue" or is_annotated:
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

    def _label_and_votes(self, turn: Evaluation) -> tuple[str | None, dict[str, float] | None]:
        if self.label_map is None:
            return None, None
        label, votes = decide_label(turn.majority, turn.choices, self.label_map, self.ties)
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
            self.without_text.append(turn.turn)
        return (texts or {}).get(turn.turn) or None

    def _audio(self, folder: Path, clip: str, clips: Collection[str]) -> AudioRef | None:
        if clip in clips:
            self.n_clips += 1
            return AudioRef(folder / clip)
        self.without_clip.append("/".join((*folder.parts[-4:], clip)))
        return None

    def missing_files(self, on_bad: str) -> list[str]:
        """Return one sentence for each missing file, or how many are missing if they are masked."""
        if on_bad == "mask":
            missing = {"turns have no clip": self.without_clip, "dialogues have no transcripts": self.no_transcripts}
            return _count_sentences({f"{what} and are masked": names for what, names in missing.items()})
        mend = "add it, or mask what is missing (--data.on_bad mask)"
        clips = self.without_clip
        if clips and not self.n_clips:
            clips = [f"{clips[0]} (and all {len(clips)} clips)"]
        all_clips = self.aside.folder.glob(f"*/{CLIPS}/*/*.wav") if clips else ()
        elsewhere = {file.name: self.aside.name(file) for file in all_clips}
        found = {name: elsewhere.get(name.rpartition("/")[2].split(" ")[0], "") for name in clips}
        places = {name: f", but {place} has its name" if place else "" for name, place in found.items()}
        return [f"{name}: no such file{places.get(name, '')}; {mend}" for name in (*clips, *self.no_transcripts)]

    def warnings(self, labels: str) -> list[str]:
        """Return one sentence about each kind of turn, vote or rating that is odd or left out."""
        result = "left out" if self.view == "utterance" else "unlabelled"
        sentences = []
        if self.n_soft:
            sentences.append(f"{self.n_soft} turns have no majority and keep only their votes (ties: soft)")
        if self.n_undecided:
            sentences.append(f"{self.n_undecided} turns have no majority and are {result} (ties: {self.ties})")
        if self.n_outside:
            sentences.append(f"{self.n_outside} turns have a class outside {labels} and are {result}")
        left_out = " and are left out" if self.label_map is None and self.view == "utterance" else ""
        low, high = SCALE
        return sentences + _count_sentences(
            {
                f"turns have no valence, arousal and dominance{left_out}": self.unrated,
                "turns lack one or two of valence, arousal and dominance": self.partly_rated,
                f"ratings lie outside {low:g} to {high:g} and are kept": self.off_scale,
                "ratings are not possible as a mean and do not count": self.impossible,
                "dialogues have no evaluation and are left out": self.unevaluated,
                "turns have no transcript": self.without_text,
                "votes are for no class and do not count": self.unknown_votes,
            }
        )


def _sessions(path: str | Path | None) -> list[Path]:
    folder = find_data("iemocap") if path is None else Path(path)
    sessions = sorted(session for session in folder.glob("Session[1-5]") if session.is_dir())
    if not any((session / EVALUATIONS).is_dir() for session in sessions):
        raise MissingDataError(
            f"{folder}: holds no Session1/{EVALUATIONS}; give the folder of IEMOCAP's sessions (--data.path). You can "
            "request a licence for the corpus: https://sail.usc.edu/iemocap/"
        )
    return sessions


def _scenario(dialogue: str) -> str:
    # Ses01F_impro01 is improvised, Ses01F_script01_1 is scripted.
    return "improvised" if dialogue.split("_")[1].startswith("impro") else "scripted"


def _count_sentences(names_by_fact: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a sentence for each fact that is true of some names. It gives their number and the first five names."""
    shown = {fact: ", ".join(names[:5]) + (", …" if len(names) > 5 else "") for fact, names in names_by_fact.items()}
    return [f"{len(names)} {fact} ({shown[fact]})" for fact, names in names_by_fact.items() if names]
