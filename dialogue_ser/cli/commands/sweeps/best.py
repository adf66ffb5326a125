"""``dialogue-ser sweep best FILE``: the settings of the best trial, and a preset of them."""

from pathlib import Path

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import ConfigError
from dialogue_ser.foreign_text.terminal_text import visible
from dialogue_ser.training.config.files import config_from_dict, dump_config
from dialogue_ser.training.config.presets import OWN_FOLDER, check_new_name


def sweep_best(
    file: str,
    as_preset: str | None = None,
    storage: str | None = None,
    out: str | None = None,
    replace: bool = False,
) -> int:
    """Print the settings of the best trial of a sweep, or make a preset of them.

    Args:
        file: the sweep file, or the folder of the sweep.
        as_preset: name of the preset. It is written to presets/NAME.yaml in the working folder, and --preset NAME finds
            it there. If left out, the settings are printed.
        storage: the storage that 'sweep run' was given.
        out: folder of the sweep. If left out: runs/ and the name of the sweep.
        replace: replace a preset of this name in the working folder.

    Returns:
        exit status 0.

    Raises:
        ConfigError: the name cannot be used.
        MissingDataError: the sweep has no trial with a score, or its files are not here.
    """
    from dialogue_ser.evaluation.sweep.results import best_config, find_sweep, sweep_results

    if as_preset is not None:
        check_new_name(as_preset)
    sweep, folder = find_sweep(Path(file), out)
    results = sweep_results(sweep, folder, storage)
    values, run = best_config(results, folder)
    if as_preset is not None:
        values["name"] = as_preset
    trial = next(one for one in results["trials"] if one["number"] == results["best"])
    head = (
        f"# The best of {len(results['history'])} trials of the sweep {results['name']}: {results['metric']} "
        f"{trial['score']:.4f} on dev.\n"
        f"# Made by dialogue-ser sweep best; trial {trial['number']} of {sweep.path.name}.\n"
    )
    text = visible_comment(head) + dump_config(config_from_dict(values))
    if as_preset is None:
        print(text, end="")
        return 0
    path = OWN_FOLDER / f"{as_preset}.yaml"
    if path.exists() and not replace:
        raise ConfigError(f"{path}: exists already; choose another name, or add --replace")
    OWN_FOLDER.mkdir(exist_ok=True)
    write_atomically(path, text)
    print(visible(f"written: {path} (from {run})\nuse it: dialogue-ser train --preset {as_preset}"))
    return 0


def visible_comment(text: str) -> str:
    """Return comment lines in which a name cannot begin a line of its own."""
    return "".join(f"{visible(line)}\n" for line in text.splitlines())
