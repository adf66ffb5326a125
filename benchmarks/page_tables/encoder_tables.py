"""Tables about encoders, rendered by ``benchmarks.tables``: fine-tuning, extraction, nEMO, EmoBank."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.results_files import Result, now, read_result, seeds_score
from dialogue_ser.metrics.table import heading_of
from dialogue_ser.report.readme import register_renderer
from dialogue_ser.report.sections.tables import format_interval, format_mean_std, format_score, render_markdown


def finetuning(result: Result) -> str:
    """Text encoders trained on MELD in different ways."""
    rows = [
        {
            "encoder": row["features"],
            "system": row["variant"],
            "test weighted F1": seeds_score(row, "test", "weighted_f1"),
            heading_of("accuracy"): seeds_score(row, "test", "accuracy"),
            "macro F1": seeds_score(row, "test", "macro_f1"),
            "dev weighted F1": seeds_score(row, "dev", "weighted_f1"),
            "seeds": str(len(row["seeds"])),
            "minutes a run": f"{row['seconds']['mean'] / 60:.0f}",
        }
        for row in result["systems"]
    ]
    cross_fit = result["cross_fit"]
    made = (
        ""
        if cross_fit["minutes"] is None
        else f" The cross-fitted vectors ({cross_fit['folds']} folds) took {cross_fit['minutes']:.0f} minutes."
    )
    workers = sorted({row["workers"] for row in result["systems"]})
    precisions = sorted({row["precision"] for row in result["systems"]})
    commands = dict.fromkeys(row["command"] for row in result["systems"])
    return (
        f"{render_markdown(rows)}\n\nMean ± std over seeds, epoch chosen on dev; one thread a run, "
        f"{' or '.join(map(str, workers))} at a time, precision {' or '.join(precisions)}.{made} "
        f"{', '.join(f'`{command}`' for command in commands)}"
    )


@register_renderer("finetuning")
def _finetuning(folder: Path) -> str:
    return finetuning(read_result(folder, "finetuning.json"))


def emobank(result: Result) -> str:
    """CCC and r of every dimension: the floor, then the systems."""
    floor, systems = result["floor"], result["systems"]
    names = [name for name in floor["test"] if name != "mean"]
    rows = [{"system": floor["system"], **{name: _agreement(floor["test"][name]) for name in (*names, "mean")}}]
    rows[0]["dev CCC, mean"] = format_score(floor["dev"]["mean"]["ccc"], 3)
    rows[0]["seeds"] = "–"
    for row in systems:
        cells = {name: _agreement(row["test"][name]) for name in (*names, "mean")}
        dev = row["dev"]["mean"]["ccc"]
        cells["dev CCC, mean"] = format_mean_std(dev["mean"], dev["std"] if dev["n"] > 1 else None, 3)
        rows.append({"system": row["system"], **cells, "seeds": str(len(row["seeds"]))})
    protocol = result["protocol"]
    return (
        f"{render_markdown(rows)}\n\nTest CCC (Pearson r). {protocol[:1].upper()}{protocol[1:]}; one thread a run, "
        f"{result['workers']} at a time. `{result['command']}`"
    )


def _agreement(value: Result) -> str:
    """CCC and r, with their spread if there are several seeds."""
    parts = [
        format_score(value[key], 3)
        if isinstance(value[key], float)
        else format_mean_std(value[key]["mean"], value[key]["std"] if value[key]["n"] > 1 else None, 3)
        for key in ("ccc", "pearson_r")
    ]
    return f"{parts[0]} ({parts[1]})"


@register_renderer("emobank")
def _emobank(folder: Path) -> str:
    return emobank(read_result(folder, "emobank.json"))


def nemo(result: Result) -> str:
    """Scores of every nEMO preset over all folds, the goals, and the cost of the features."""
    rows, costs = [], []
    for row in result["rows"]:
        pooled, folds, interval = row["pooled"], row["fold_mean"]["ua"], row["intervals"]["ua"]
        rows.append(
            {
                "preset": row["preset"],
                "unlabelled test recordings": "used" if row["uses_unlabelled_test_recordings"] else "no",
                heading_of("uar"): format_score(pooled["ua"], 3),
                "95 % over speakers": format_interval(interval["low"], interval["high"]),
                "goal": format_score(row["target_ua"], 3),
                heading_of("accuracy"): format_score(pooled["wa"], 3),
                "macro F1": format_score(pooled["macro_f1"], 3),
                "UA, mean ± std of folds": format_mean_std(folds["mean"], folds["std"], digits=3),
            }
        )
        if (cost := row["extraction"]) is not None:
            memory = cost["peak_memory_bytes"] + cost["worker_memory_bytes"]
            costs.append(f"{row['feature_set']} {cost['seconds']:.0f} s and {memory / 1e6:.0f} MB")
    return (
        f"{render_markdown(rows)}\n\nExtraction of {result['rows'][0]['pooled']['n']} utterances by one process: "
        f"{', '.join(costs)} (the whole process at its peak). scikit-learn {result['versions']['scikit-learn']}, "
        f"opensmile {result['versions']['opensmile']}. `{result['command']}`; {now('nemo')}"
    )


NEMO_ABSENT = "Not measured yet."


@register_renderer("nemo")
def _nemo(folder: Path) -> str:
    return nemo(read_result(folder, "nemo.json")) if (folder / "nemo.json").is_file() else NEMO_ABSENT


@register_renderer("nemo-speakers")
def _nemo_speakers(folder: Path) -> str:
    """UA of every speaker, one column per preset."""
    if not (folder / "nemo.json").is_file():
        return NEMO_ABSENT
    result = read_result(folder, "nemo.json")
    return render_markdown(
        [
            {
                "speaker": name,
                **{row["preset"]: format_score(row["speakers"][name]["ua"], 3) for row in result["rows"]},
            }
            for name in result["rows"][0]["speakers"]
        ]
    )


def nemo_networks(result: Result, folder: Path) -> str:
    """Networks on nEMO, each beside the better SVM of its kind in nemo.json."""
    floors = best_floors(read_result(folder, "nemo.json"))
    rows = []
    for row in result["rows"]:
        pooled, folds, interval = row["pooled"], row["fold_mean"]["ua"], row["intervals"]["ua"]
        floor = floors[row["uses_unlabelled_test_recordings"]]
        members = f", {row['members']} members" if row["members"] > 1 else ""
        members += ", last epoch" if row["epoch"] == "last" else ""
        rows.append(
            {
                "system": f"{row['what']}{members}",
                "unlabelled test recordings": "used" if row["uses_unlabelled_test_recordings"] else "no",
                heading_of("uar"): format_score(pooled["ua"], 3),
                "95 % over speakers": format_interval(interval["low"], interval["high"]),
                "against the better SVM": f"{pooled['ua'] - floor:+.3f}",
                heading_of("accuracy"): format_score(pooled["wa"], 3),
                "UA, mean ± std of folds": format_mean_std(folds["mean"], folds["std"], digits=3),
                "minutes": f"{row['seconds'] / 60:.1f}",
            }
        )
    return (
        f"{render_markdown(rows)}\n\nBetter SVM: {floors[False]:.3f}, with unlabelled test recordings "
        f"{floors[True]:.3f}. Epoch chosen on dev UA where not the last is kept; seed {result['rows'][0]['seed']}; one "
        f"thread a run, {result['workers']} at a time, precision {result['precision']}. `{result['command']}`; "
        f"{now('nemo-networks')}"
    )


def best_floors(result: Result) -> dict[bool, float]:
    """Best UA over all folds of the presets, by whether they use unlabelled test recordings."""
    best: dict[bool, float] = {}
    for row in result["rows"]:
        kind = row["uses_unlabelled_test_recordings"]
        best[kind] = max(best.get(kind, 0.0), row["pooled"]["ua"])
    return best


@register_renderer("nemo-networks")
def _nemo_networks(folder: Path) -> str:
    if not (folder / "nemo-networks.json").is_file():
        return "Not measured yet."
    return nemo_networks(read_result(folder, "nemo-networks.json"), folder)


def extraction_texts(result: Result) -> str:
    """MiniLM on the texts of MELD, against the matrix throughput of the machine, and where the time goes."""
    texts = result["texts"]
    rows = [
        {"part": part, "seconds": f"{seconds:.2f}", "share": f"{seconds / texts['seconds']:.0%}"}
        for part, seconds in texts["parts_seconds"].items()
    ]
    return (
        f"{texts['utterances']} texts ({texts['encoded']} different ones, {texts['tokens']} tokens) in "
        f"{texts['seconds']:.1f} s: {texts['utterances_per_second']:.0f} utterances/s, "
        f"{texts['encoded_per_second']:.0f} encodings/s. {texts['multiply_adds_per_second'] / 1e9:.1f} of "
        f"{texts['peak_multiply_adds_per_second'] / 1e9:.1f} billion multiply-adds/s: {texts['fraction_of_peak']:.0%} "
        f"of what one large product reaches; the linear layers' products alone reach "
        f"{texts['fraction_of_peak_products_alone']:.0%}.\n\n{render_markdown(rows)}\n\n{result['machine']['line']}; "
        f"{texts['threads']} threads; torch {result['versions']['torch']}. `{result['command']}`"
    )


def extraction_workers(result: Result) -> str:
    """One and two workers of each engine."""
    rows = [
        {
            "encoder, corpus": row["what"],
            "engine": row["engine"],
            "workers": str(row["workers"]),
            "utterances/s": f"{row['utterances_per_second']:.1f}",
            "seconds, starting included": f"{row['seconds']:.1f}",
            "same bits": "yes" if row["same_bits_as_first"] else "no",
        }
        for row in result["workers"]
    ]
    return f"{render_markdown(rows)}\n\nOne thread a worker, an empty store each time."


def _extraction(folder: Path, draw: Callable[[Result], str]) -> str:
    if not (folder / "extraction.json").is_file():
        return "Not measured yet: `python -m benchmarks.extraction --record`."
    return draw(read_result(folder, "extraction.json"))


register_renderer("extraction-texts")(partial(_extraction, draw=extraction_texts))
register_renderer("extraction-workers")(partial(_extraction, draw=extraction_workers))
