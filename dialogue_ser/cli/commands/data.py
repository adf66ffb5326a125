"""``dialogue-ser data describe|check|download``."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from dialogue_ser.cli.tables import show
from dialogue_ser.corpus.counts import SplitCounts, ValueSpread, count_split, histogram, min_median_max
from dialogue_ser.corpus.download.fetch import download
from dialogue_ser.corpus.duplicates import repeated_audio
from dialogue_ser.corpus.readers import read_corpus, reader_of_file
from dialogue_ser.corpus.schema import Corpus, utterances
from dialogue_ser.errors import DialogueSerError, MediaError, shown_problems
from dialogue_ser.features.core.bad_clips import bad_clip_problem
from dialogue_ser.media.decode import decode

_BAR_CELLS = 32
_MOST_SPEAKERS = 10


def data_describe(
    reader: str | None = None,
    path: str | None = None,
    labels: str = "emotion",
    options: dict[str, Any] | None = None,
    on_bad: str = "error",
    cut: dict[str, Any] | None = None,
) -> int:
    """Print what a corpus contains: splits, labels, targets, speakers, lengths, text, audio, and warnings.

    Args:
        reader: corpus reader, e.g. meld, sample or table; docs/corpora.md lists all. If left out: table if the path
            is a file, else meld.
        path: folder or file of the corpus. If left out, the reader looks in DIALOGUE_SER_DATA, or in data/.
        labels: label set, e.g. emotion or sentiment.
        options: options of the corpus reader, as YAML or JSON, e.g. '{splits: [dev]}'.
        on_bad: what to do if a media file is missing, or belongs to another speaker than its place says. error = stop;
            mask = count the turn as one without this modality, and set the file of another speaker aside.
        cut: show one fold instead of the whole corpus, as YAML or JSON, e.g.
            '{protocol: leave-one-speaker-out, fold: EB0}'.

    Returns:
        exit status 0.

    Raises:
        DialogueSerError: the corpus cannot be read or cut; the error lists every bad row.
    """
    from dialogue_ser.training.config.files import config_from_dict
    from dialogue_ser.training.data.corpus import corpus_of

    data = {"reader": _reader(reader, path), "path": path, "labels": labels, "options": options or {}, "on_bad": on_bad}
    corpus = corpus_of(config_from_dict({"data": {**data, "cut": cut or {}}}, where="data describe").data)
    counts = {split: count_split(dialogues) for split, dialogues in corpus.splits.items()}
    _head(corpus)
    annotation = [*_labels(corpus, counts), *_targets(corpus, counts)]
    for table in (_splits(corpus, counts), *annotation, _speakers(counts), *_lengths(counts)):
        show(table)
    _warnings(corpus.warnings)
    return 0


def data_check(
    reader: str | None = None,
    path: str | None = None,
    labels: str = "emotion",
    options: dict[str, Any] | None = None,
    on_bad: str = "error",
    media: bool = True,
) -> int:
    """Check every row of a corpus and decode every audio file. All problems are listed in one error.

    A warning names audio that several utterances share.

    Args:
        reader: corpus reader, e.g. meld, sample or table; docs/corpora.md lists all. If left out: table if the path
            is a file, else meld.
        path: folder or file of the corpus. If left out, the reader looks in DIALOGUE_SER_DATA, or in data/.
        labels: label set, e.g. emotion or sentiment.
        options: options of the corpus reader, as YAML or JSON, e.g. '{splits: [dev]}'.
        on_bad: error = bad media are an error; mask = bad media are only counted and listed, and files of another
            speaker than their place says are set aside.
        media: also decode and compare the audio files. Switch it off to check the rows only, which is faster.

    Returns:
        exit status 0, which means that the corpus can be used.

    Raises:
        DialogueSerError: there are bad rows, or audio files that cannot be decoded; the error lists all of them.
    """
    corpus = read_corpus(_reader(reader, path), path, labels, on_bad=on_bad, **(options or {}))
    _head(corpus)
    _warnings(corpus.warnings)
    n_decoded, bad, doubtful = _decode_all(corpus) if media else (0, [], [])
    _warnings(doubtful)
    if media:
        _warnings(repeated_audio(corpus))
    if bad and on_bad != "mask":
        raise MediaError(*bad)
    n_turns = sum(len(dialogue) for dialogues in corpus.splits.values() for dialogue in dialogues)
    masked = f", {len(bad)} cannot be decoded and would be masked" if bad else ""
    for problem in shown_problems(bad):
        _print(f"  masked: {problem}")
    _print(f"ok: {n_turns} turns in {len(corpus.splits)} splits; {n_decoded} audio clips decoded{masked}")
    return 0


def data_download(name: str, folder: str | None = None, base_url: str | None = None) -> int:
    """Download a public corpus, show its licence and check its checksum. After an interruption, run it again.

    Args:
        name: emobank, meld (the CSV files), or meld-clips or meld-clips-hub (10 GB of video clips).
        folder: folder that contains your corpora. If left out: DIALOGUE_SER_DATA, or data/.
        base_url: address of another server with the same files. Change it if the usual server cannot be reached.

    Returns:
        exit status 0.

    Raises:
        DialogueSerError: the name is unknown, the server cannot be reached, or a file has a wrong checksum.
    """
    download(name, folder, base_url)
    return 0


def _reader(reader: str | None, path: str | None) -> str:
    return reader or (path and reader_of_file(path)) or "meld"


def _print(text: str) -> None:
    Console(soft_wrap=True).print(escape(text), highlight=False)


def _head(corpus: Corpus) -> None:
    if corpus.label_set is not None:
        _print(f"{corpus.name} · {corpus.label_set.name}: {', '.join(corpus.label_set)}")
    if corpus.dimensions:
        _print(f"{corpus.name} · dimensions: {', '.join(corpus.dimensions)}")
    _print(f"licence: {corpus.licence}\nfingerprint: {corpus.fingerprint()}")
    if corpus.dimensions:
        _print(f"fingerprint with targets: {corpus.fingerprint(with_targets=True)}")


def _table(title: str, first: str, splits: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column(first)
    for split in splits:
        table.add_column(escape(split), justify="right")
    return table


def _splits(corpus: Corpus, counts: Mapping[str, SplitCounts]) -> Table:
    table = _table("Splits", "", counts)
    known = set(counts["train"].speakers) if "train" in counts else set()
    lines: dict[str, list[str]] = {
        "dialogues": [str(count.dialogues) for count in counts.values()],
        "utterances": [str(count.turns) for count in counts.values()],
        "labelled": [str(sum(count.labels.values())) for count in counts.values()],
        "with targets": [str(count.with_targets) for count in counts.values()],
        "speakers": [str(len(count.speakers)) for count in counts.values()],
        "speakers never in train": [str(len(set(count.speakers) - known)) for count in counts.values()],
        "most speakers in a dialogue": [str(count.most_speakers) for count in counts.values()],
        "turns per dialogue (min / median / max)": [min_median_max(count.dialogue_turns) for count in counts.values()],
        "longest dialogue": [escape(count.longest) for count in counts.values()],
        "dialogues of one turn": [str(count.dialogue_turns.count(1)) for count in counts.values()],
        "words per turn (min / median / max)": [min_median_max(count.words) for count in counts.values()],
        "turns with text": [_share(count.with_text, count.turns) for count in counts.values()],
        "turns with audio": [_share(count.with_audio, count.turns) for count in counts.values()],
    }
    left_out = {"labelled": corpus.label_set is None, "with targets": not corpus.dimensions}
    left_out |= {"speakers never in train": not known}
    lines = {name: cells for name, cells in lines.items() if not left_out.get(name)}
    for name, cells in lines.items():
        table.add_row(name, *cells)
    return table


def _labels(corpus: Corpus, counts: Mapping[str, SplitCounts]) -> Iterable[Table]:
    if corpus.label_set is None:
        return
    table = _table(f"Labels ({escape(corpus.label_set.name)})", "", counts)
    for label in corpus.label_set:
        cells = (_share(count.labels.get(label, 0), sum(count.labels.values())) for count in counts.values())
        table.add_row(escape(label), *cells)
    yield table


def _targets(corpus: Corpus, counts: Mapping[str, SplitCounts]) -> Iterable[Table]:
    if not corpus.dimensions:
        return
    table = _table("Targets: mean ± standard deviation (min to max), turns", "", counts)
    for dimension in corpus.dimensions:
        table.add_row(escape(dimension), *(_spread_cell(count.targets.get(dimension)) for count in counts.values()))
    yield table


def _spread_cell(spread: ValueSpread | None) -> str:
    if spread is None:
        return "–"
    return f"{spread.mean:.3f} ± {spread.std:.3f} ({spread.smallest:g} to {spread.largest:g}), {spread.n}"


def _speakers(counts: Mapping[str, SplitCounts]) -> Table:
    total: dict[str, int] = {}
    for count in counts.values():
        for speaker, turns in count.speakers.items():
            total[speaker] = total.get(speaker, 0) + turns
    top = sorted(total, key=lambda speaker: (-total[speaker], speaker))[:_MOST_SPEAKERS]
    table = _table(f"Turns of the {len(top)} most frequent of {len(total)} speakers", "", counts)
    for speaker in top:
        table.add_row(escape(speaker), *(str(count.speakers.get(speaker, 0)) for count in counts.values()))
    return table


def _lengths(counts: Mapping[str, SplitCounts]) -> Iterable[Table]:
    for split, count in counts.items():
        table = Table(title=f"Turns per dialogue, {escape(split)}", title_justify="left", box=SIMPLE_HEAD)
        for heading in ("turns", "dialogues"):
            table.add_column(heading, justify="right")
        table.add_column("")
        bins = histogram(count.dialogue_turns)
        most = max(number for _, number in bins)
        for name, number in bins:
            table.add_row(name, str(number), "#" * round(_BAR_CELLS * number / most))
        yield table


def _share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.1%})" if whole else "0"


def _warnings(warnings: Iterable[str]) -> None:
    for warning in shown_problems(tuple(warnings)):
        _print(f"warning: {warning}")


def _decode_all(corpus: Corpus) -> tuple[int, list[str], list[str]]:
    """Return how many clips can be decoded, a message for each one that cannot, and warnings about the others."""
    turns = [turn for dialogues in corpus.splits.values() for turn in utterances(dialogues) if turn.audio is not None]
    bad: list[str] = []
    doubtful: list[str] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for turn in progress.track(turns, description="decoding"):
            assert turn.audio is not None
            try:
                audio = turn.audio
                waveform = decode(audio.path, audio.start_seconds, audio.end_seconds, sample_rate_hz=None)
                doubtful += [bad_clip_problem(turn, one.text, is_unusable=False) for one in waveform.warnings]
            except DialogueSerError as error:
                bad.append(bad_clip_problem(turn, str(error)))
    return len(turns) - len(bad), bad, doubtful
