"""``dialogue-ser errors SUITE_FOLDER``: where the systems of a suite err and differ, without training."""

from pathlib import Path

from dialogue_ser.foreign_text.terminal_text import visible
from dialogue_ser.trust import Trust


def errors(
    suite_folder: str,
    systems: str | None = None,
    top: int = 20,
    split: str | None = None,
    out: str | None = None,
    trust_code: bool = False,
) -> None:
    """Analyse the errors of a suite: by class, speaker, shift, position and length, and dialogue by dialogue.

    It reads what dialogue-ser benchmark has written, e.g. runs/small, and trains nothing. The folder may be unfinished,
    moved or copied. It writes pages, all numbers (errors.json), and a table of all turns with the predictions of all
    systems (turns.csv).

    Args:
        suite_folder: folder of the suite, e.g. runs/small.
        systems: two systems whose dialogues are compared, e.g. erc,blind. With one name it is compared with its
            reference. If left out: the best system and its reference.
        top: number of dialogues that are shown.
        split: split to analyse. If left out: the one that the suite reports.
        out: folder for the pages and files. If left out: errors/ in the folder of the suite.
        trust_code: allow your own reader, if the runs name one. It is needed for the seconds of the turns only. The
            reader is run, so allow only code that you trust.
    """
    from dialogue_ser.report.errors_page import DIALOGUES, missing_runs, verdict
    from dialogue_ser.runs.run_files import read_json

    page = write_analysis(
        Path(suite_folder),
        systems=systems,
        top=top,
        split=split,
        out=Path(out) if out else None,
        trust_code=trust_code,
    )
    found = read_json(page.parent / "errors.json")
    for line in verdict(found):
        print(visible(line))
    if found["missing"]:
        print(visible(f"warning: {missing_runs(found)}"))
    for note in found["notes"]:
        print(visible(f"note: {note}"))
    print(visible(f"page:      {page}"))
    if found["dialogues"]:
        a, b = found["dialogues"]["systems"]
        print(visible(f"dialogues: {page.parent / DIALOGUES} ({a} and {b})"))
    print(visible(f"numbers:   {page.parent / 'errors.json'}; every turn: turns.csv"))


def write_analysis(
    folder: Path,
    *,
    systems: str | None = None,
    top: int = 20,
    split: str | None = None,
    out: Path | None = None,
    trust_code: Trust = False,
) -> Path:
    """Analyse the errors of a suite and write all files. The parameters are those of :func:`errors`.

    Returns:
        the path of the page.
    """
    from dialogue_ser.evaluation.errors.analyse import analyse_errors
    from dialogue_ser.report.errors_page import write_errors_report

    found = analyse_errors(folder, systems=systems, top=top, split=split, out=out, trust_code=trust_code)
    return write_errors_report(found)
