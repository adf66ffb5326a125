"""What the parts read: MiniLM and MELD, whole or shortened, from the kit or from this machine."""

import csv
import lzma
import os
from pathlib import Path

from dialogue_ser.corpus.download.locate import find_data
from dialogue_ser.durable import write_atomically
from dialogue_ser.features.pretrained.packaged import minilm_folder

ROOT = Path(__file__).parents[2]
KIT = ROOT / ".gpu-kit"
CSVS = ("train_sent_emo.csv", "dev_sent_emo.csv", "test_sent_emo.csv")
MODEL_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
WEIGHTS = "model.safetensors"
#: How the kit packs them: the two bytes of a number in half precision are told apart, which saves an eighth.
PACKED = f"{WEIGHTS}.xz"
PACKING = ({"id": lzma.FILTER_LZMA2, "preset": 1, "lc": 0, "lp": 1, "pb": 1},)
QUICK_DIALOGUES = 12


def minilm_place() -> Path:
    """Folder of MiniLM: the one of the kit, in half precision (it is unpacked first), else the packaged one.

    Raises:
        MissingDataError: both are absent.
    """
    own = KIT / "minilm"
    if (own / PACKED).is_file() and not (own / WEIGHTS).is_file():
        write_atomically(own / WEIGHTS, lzma.decompress((own / PACKED).read_bytes()))
    return own if (own / WEIGHTS).is_file() else minilm_folder()


def meld_place(scratch: Path, *, is_quick: bool) -> Path:
    """Folder of MELD: the one of the kit, else the one that the library finds. A quick run gets the first dialogues
    only.

    Args:
        scratch: folder for the shortened files.
        is_quick: only some dialogues.

    Raises:
        MissingDataError: MELD is not on this machine.
    """
    kit = KIT / "data" / "meld"
    whole = kit if kit.is_dir() and "DIALOGUE_SER_DATA" not in os.environ else find_data("meld")
    if not is_quick:
        return whole
    scratch.mkdir(parents=True, exist_ok=True)
    for name in CSVS:
        _shorten(whole / name, scratch / name)
    return scratch


def _shorten(source: Path, target: Path) -> None:
    with source.open(encoding="utf-8", newline="") as given, target.open("w", encoding="utf-8", newline="") as taken:
        rows = csv.reader(given)
        header = next(rows)
        column = header.index("Dialogue_ID")
        first = [row for row in rows if int(row[column]) < QUICK_DIALOGUES]
        csv.writer(taken).writerows([header, *first])
