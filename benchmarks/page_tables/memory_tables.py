"""The table of memory, rendered by ``benchmarks.tables``: whole commands for dialogues of many turns."""

from pathlib import Path

from benchmarks.results_files import read_result
from dialogue_ser.report.readme import register_renderer
from dialogue_ser.report.sections.tables import render_markdown


@register_renderer("long-dialogues")
def long_dialogues(folder: Path) -> str:
    """Peak megabytes of each command, by the number of turns of a dialogue."""
    result = read_result(folder, "long-dialogues.json")
    rows = [
        {
            "command": row["command"],
            **{f"{n:,} turns, MB": f"{row['megabytes'][str(n)]:,}" for n in result["turns"]},
        }
        for row in result["rows"]
    ]
    about = "Three dialogues of so many turns, one for each split; one epoch, features of MiniLM, one thread"
    versions, command = result["versions"], result["command"].strip()
    return f"{render_markdown(rows)}\n\n{about}; torch {versions['torch']}. `{command}`"
