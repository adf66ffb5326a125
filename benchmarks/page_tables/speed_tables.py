"""The tables of the speed of systems, rendered by ``benchmarks.tables``."""

from pathlib import Path

from benchmarks.results_files import Result, read_result
from dialogue_ser.report.readme import register_renderer
from dialogue_ser.report.sections.tables import render_markdown


def epoch_rows(result: Result, epoch: Result) -> list[dict[str, object]]:
    """Return one row per system: seconds of an epoch, and how many times those of the reference they are."""
    reference = next(row["seconds"] for row in epoch["systems"] if row["system"] == result["reference"])
    published = result["published_times_of_reference"]
    rows: list[dict[str, object]] = []
    for row in epoch["systems"]:
        times = row["seconds"] / reference
        of_published = f"{published[row['system']]:.1f}" if row["system"] in published else "–"
        rows.append(
            {
                "system": row["system"],
                "parameters": f"{row['n_parameters']:,}",
                "seconds": f"{row['seconds']:.1f}",
                f"÷ {result['reference']}": f"{times:.2f}",
                "goal": f"≤ {row['goal']:.1f}",
                "met": "yes" if times <= row["goal"] else "no",
                "published code": of_published,
            }
        )
    return rows


@register_renderer("systems-speed")
def systems_speed(folder: Path) -> str:
    """One table for each set of features, and how they were measured."""
    if not (folder / "systems-speed.json").is_file():
        return "Not measured yet: `python -m benchmarks.speed.systems --record`."
    result = read_result(folder, "systems-speed.json")
    parts = []
    for epoch in result["epochs"]:
        inputs = " and ".join(f"{dim:,} numbers ({name})" for name, dim in epoch["input_dims"].items())
        title = (
            f"MELD train, {epoch['features']}: {epoch['n_dialogues']:,} dialogues, {epoch['n_turns']:,} turns, {inputs}"
        )
        parts += [title, render_markdown(epoch_rows(result, epoch))]
    parts.append(
        f"All hidden states have {result['width']} units; depths are those of the published settings for MELD. "
        f"Batches of {result['batch_size']} dialogues, {result['threads']} thread, median of {result['repeats']} "
        "rounds. "
        f"{result['machine']['platform']}, torch {result['versions']['torch']}. `{result['command']}`"
    )
    return "\n\n".join(parts)
