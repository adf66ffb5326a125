"""Public corpora that `dialogue-ser data download` can fetch: addresses, checksums and licences as data."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file of a corpus.

    Args:
        url: its address, relative to the source's ``base_url``.
        name: under which it is stored.
        sha256: of its content; None = not known, then what was found is printed.
        unpack_to: folder, beside the file, that receives an archive's content; None = no archive.
    """

    url: str
    name: str
    sha256: str | None = None
    unpack_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a corpus can be had.

    Args:
        folder: name of its folder, which ``find_data`` finds.
        base_url: beginning of every file's address.
        files: what to fetch.
        licence: shown before anything is fetched.
        size: of the whole, in words.
        afterwards: what to do next.
    """

    folder: str
    base_url: str
    files: tuple[SourceFile, ...]
    licence: str
    size: str
    afterwards: str


_MELD_LICENCE = "GPL-3.0, https://github.com/declare-lab/MELD; cite Poria et al., ACL 2019"

SOURCES: Mapping[str, Source] = {
    "emobank": Source(
        folder="emobank",
        base_url="https://raw.githubusercontent.com/JULIELab/EmoBank/6d272ffd01ea31ee8f528c012431dc16f2a5f589/corpus/",
        files=(
            SourceFile(
                url="emobank.csv",
                name="emobank.csv",
                sha256="1ade4a4a453e880c0f39d0536d2b355e8a716e0cf88236c64cdb4d438cf9605b",
            ),
        ),
        licence="CC BY-SA 4.0, https://github.com/JULIELab/EmoBank; cite Buechel & Hahn, EACL 2017",
        size="1.3 MB",
        afterwards="dialogue-ser data describe --reader emobank",
    ),
    "meld": Source(
        folder="meld",
        base_url="https://raw.githubusercontent.com/declare-lab/MELD/master/data/MELD/",
        files=(
            SourceFile(
                url="train_sent_emo.csv",
                name="train_sent_emo.csv",
                sha256="d2fa2d6529cf03cac2989efec05c9b27d8fd2f4c8fc5974c7ae88aa537fa02db",
            ),
            SourceFile(
                url="dev_sent_emo.csv",
                name="dev_sent_emo.csv",
                sha256="2e89c6f8aa182d6f62f8c6331aece905ac7273ca4999660bfb5213e1d0370c1c",
            ),
            SourceFile(
                url="test_sent_emo.csv",
                name="test_sent_emo.csv",
                sha256="8d37103938f7067600839fe29d5a114a6cd1bcdafb75bec101e06464c5006888",
            ),
        ),
        licence=_MELD_LICENCE,
        size="1.5 MB",
        afterwards="dialogue-ser data describe --reader meld",
    ),
    "meld-clips": Source(
        folder="meld",
        base_url="https://web.eecs.umich.edu/~mihalcea/downloads/",
        files=(SourceFile(url="MELD.Raw.tar.gz", name="MELD.Raw.tar.gz", unpack_to="clips"),),
        licence=_MELD_LICENCE,
        size="about 10 GB, twice that while it is unpacked",
        afterwards="dialogue-ser data check --reader meld --options '{audio: clips}' --on_bad mask",
    ),
    "meld-clips-hub": Source(
        folder="meld",
        base_url="https://huggingface.co/datasets/declare-lab/MELD/resolve/main/",
        files=(SourceFile(url="MELD.Raw.tar.gz", name="MELD.Raw.tar.gz", unpack_to="clips"),),
        licence=_MELD_LICENCE,
        size="about 10 GB, twice that while it is unpacked",
        afterwards="dialogue-ser data check --reader meld --options '{audio: clips}' --on_bad mask",
    ),
}
