"""Make the sample corpus from its script: CSV files, speech for every utterance, and the table in README.md.

Run it from anywhere, with espeak-ng on the path and the project installed::

    python data/sample/make_sample.py            # CSVs, audio and README counts (about a minute on one core)

Sources, all written by hand: ``script/train.txt``, ``script/dev.txt``, ``script/test.txt`` (dialogues as a screenplay)
and ``script/voices.yaml`` (one voice for each person); how they sound is in ``sample_speech.py``. A dialogue begins
with ``# Setting: title``; a turn is ``Speaker (emotion): what is said``, and surprise carries its sentiment as
``surprise+`` or ``surprise-``.

Everything is drawn from a generator seeded by the utterance's own id, so a run with the same espeak-ng, numpy, soxr and
libsndfile gives the same bytes, and a new dialogue at the end of a file leaves the clips before it alone.
"""

import csv
import re
import shutil
import sys
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from sample_speech import SAMPLE_RATE_HZ, Voice, draw_prosody, synthesise, write_clip

HERE = Path(__file__).resolve().parent
SPLITS = ("train", "dev", "test")
LABELS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
# The place of a setting in this tuple is its Episode, so every setting has its own clock.
SETTINGS = (
    "Flat", "Office", "Hospital", "Kitchen", "Trip", "School",
    "Shop", "Family", "Football", "Theatre", "Neighbours", "Road",
)  # fmt: skip
COLUMNS = (
    "Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID",
    "Season", "Episode", "StartTime", "EndTime",
)  # fmt: skip
SENTIMENT = {
    "neutral": "neutral", "joy": "positive", "surprise+": "positive", "surprise-": "negative",
    "fear": "negative", "sadness": "negative", "disgust": "negative", "anger": "negative",
}  # fmt: skip
TURN = re.compile(r"(?P<speaker>[^():]+) \((?P<feeling>[a-z]+[+-]?)\): (?P<text>\S.*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One line of the script; ``feeling`` is the emotion, for surprise with its sign."""

    speaker: str
    feeling: str
    text: str

    @property
    def emotion(self) -> str:
        """MELD's emotion label."""
        return self.feeling.rstrip("+-")

    @property
    def sentiment(self) -> str:
        """MELD's sentiment label."""
        return SENTIMENT[self.feeling]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One dialogue of the script."""

    setting: str
    title: str
    turns: tuple[Turn, ...]


def read_script(split: str) -> tuple[Scene, ...]:
    """Dialogues of one split, in the order of the file.

    Raises:
        ValueError: lines that are neither a heading nor a turn, or name an unknown setting or emotion, all at once.
    """
    scenes: list[Scene] = []
    problems: list[str] = []
    turns: list[Turn] = []
    for number, line in enumerate((HERE / "script" / f"{split}.txt").read_text(encoding="utf-8").splitlines(), start=1):
        where = f"{split}.txt line {number}"
        if line.startswith("# "):
            setting, _, title = line[2:].partition(": ")
            if setting not in SETTINGS or not title:
                problems.append(
                    f"{where}: the heading is not '# Setting: title' with a setting of {', '.join(SETTINGS)}"
                )
            turns = []
            scenes.append(Scene(setting=setting, title=title, turns=()))
        elif line.strip():
            found = TURN.fullmatch(line)
            if found is None or found["feeling"] not in SENTIMENT or not scenes:
                problems.append(f"{where}: not 'Speaker (emotion): text' with an emotion of {', '.join(SENTIMENT)}")
                continue
            turns.append(Turn(**found.groupdict()))
            scenes[-1] = Scene(setting=scenes[-1].setting, title=scenes[-1].title, turns=tuple(turns))
    if problems:
        raise ValueError("\n".join(problems))
    return tuple(scenes)


def read_voices() -> dict[str, Voice]:
    """The cast: one voice for each person."""
    raw = yaml.safe_load((HERE / "script" / "voices.yaml").read_text(encoding="utf-8"))
    return {name: Voice(**values) for name, values in raw.items()}


def clock(seconds: float) -> str:
    """A time as MELD writes it.

    >>> clock(976.059)
    '00:16:16,059'
    """
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02},{milliseconds % 1000:03}"


def make_split(split: str, voices: dict[str, Voice], clocks: dict[str, float]) -> list[dict[str, object]]:
    """Write the clips of one split and return its CSV rows; ``clocks`` (seconds by setting) are moved on."""
    folder = HERE / "audio" / split
    folder.mkdir(parents=True)
    rows: list[dict[str, object]] = []
    for number, scene in enumerate(read_script(split)):
        for position, turn in enumerate(scene.turns):
            name = f"dia{number}_utt{position}"
            serial = zlib.crc32(f"{split}/{name}".encode())
            rng = np.random.default_rng(serial)
            voice = voices[turn.speaker]
            clip = synthesise(turn.text, voice, draw_prosody(turn.emotion, voice, rng), rng)
            write_clip(folder / f"{name}.ogg", clip, serial)
            start = clocks[scene.setting]
            end = start + clip.size / SAMPLE_RATE_HZ
            clocks[scene.setting] = end + rng.uniform(0.1, 0.9)
            rows.append(
                {
                    "Sr No.": len(rows) + 1, "Utterance": turn.text, "Speaker": turn.speaker, "Emotion": turn.emotion,
                    "Sentiment": turn.sentiment, "Dialogue_ID": number, "Utterance_ID": position,
                    "Season": 1, "Episode": SETTINGS.index(scene.setting) + 1,
                    "StartTime": clock(start), "EndTime": clock(end),
                }
            )  # fmt: skip
        clocks[scene.setting] += 20.0  # the next scene of a setting comes a while later
    return rows


def counts_table() -> str:
    """Markdown table of dialogues, turns, people and labels per split, from the script."""
    lines = [f"| split | dialogues | utterances | speakers | {' | '.join(LABELS)} |", "|---" * (4 + len(LABELS)) + "|"]
    for split in SPLITS:
        scenes = read_script(split)
        turns = [turn for scene in scenes for turn in scene.turns]
        labels = Counter(turn.emotion for turn in turns)
        cells = [
            split,
            len(scenes),
            len(turns),
            len({turn.speaker for turn in turns}),
            *(labels[name] for name in LABELS),
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    """Write audio/, the three CSV files and the counts of README.md beside this script."""
    voices = read_voices()
    clocks = dict.fromkeys(SETTINGS, 60.0)
    shutil.rmtree(HERE / "audio", ignore_errors=True)
    for split in SPLITS:
        rows = make_split(split, voices, clocks)
        with (HERE / f"{split}_sent_emo.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        sys.stdout.write(f"{split}: {len(rows)} utterances\n")
    readme = HERE / "README.md"
    text = readme.read_text(encoding="utf-8")
    begin, end = "<!-- counts: written by make_sample.py -->\n", "\n<!-- end of counts -->"
    before, _, rest = text.partition(begin)
    readme.write_text(f"{before}{begin}{counts_table()}{end}{rest.partition(end)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
