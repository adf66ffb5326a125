"""The public corpora that `dialogue-ser data download` can fetch, with their addresses, checksums and licences."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """One file of a published corpus.

    Args:
        url: address, relative to the ``base_url`` of the corpus.
        name: name of the file on this machine.
        sha256: SHA-256 of the content; None = it is not known, and the one that was found is printed.
        unpack_to: folder for the content of an archive, beside the file; None = the file is not an archive.
    """

    url: str
    name: str
    sha256: str | None = None
    unpack_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCorpus:
    """A corpus that its publishers offer for download.

    Args:
        folder: name of the folder on this machine; ``find_data`` finds it.
        base_url: beginning of the addresses of all files.
        files: the files to download.
        licence: licence of the corpus. It is shown before the download begins.
        size: size of all files together, in words.
        afterwards: command that is shown after the download as the next step.
    """

    folder: str
    base_url: str
    files: tuple[PublishedFile, ...]
    licence: str
    size: str
    afterwards: str


_MELD_LICENCE = "GPL-3.0, https://github.com/declare-lab/MELD; cite Poria et al., ACL 2019"


def _meld_clips(base_url: str) -> PublishedCorpus:
    """Return the clips of MELD on one of the servers that offer them."""
    return PublishedCorpus(
        folder="meld",
        base_url=base_url,
        files=(PublishedFile(url="MELD.Raw.tar.gz", name="MELD.Raw.tar.gz", unpack_to="clips"),),
        licence=_MELD_LICENCE,
        size="about 10 GB, and twice as much while it is unpacked",
        afterwards="dialogue-ser data check --reader meld --options '{audio: clips}' --on_bad mask",
    )


#: Name for ``dialogue-ser data download`` → what it downloads.
PUBLISHED_CORPORA: Mapping[str, PublishedCorpus] = {
    "emobank": PublishedCorpus(
        folder="emobank",
        base_url="https://raw.githubusercontent.com/JULIELab/EmoBank/6d272ffd01ea31ee8f528c012431dc16f2a5f589/corpus/",
        files=(
            PublishedFile(
                url="emobank.csv",
                name="emobank.csv",
                sha256="1ade4a4a453e880c0f39d0536d2b355e8a716e0cf88236c64cdb4d438cf9605b",
            ),
        ),
        licence="CC BY-SA 4.0, https://github.com/JULIELab/EmoBank; cite Buechel & Hahn, EACL 2017",
        size="1.3 MB",
        afterwards="dialogue-ser data describe --reader emobank",
    ),
    "meld": PublishedCorpus(
        folder="meld",
        base_url="https://raw.githubusercontent.com/declare-lab/MELD/master/data/MELD/",
        files=(
            PublishedFile(
                url="train_sent_emo.csv",
                name="train_sent_emo.csv",
                sha256="d2fa2d6529cf03cac2989efec05c9b27d8fd2f4c8fc5974c7ae88aa537fa02db",
            ),
            PublishedFile(
                url="dev_sent_emo.csv",
                name="dev_sent_emo.csv",
                sha256="2e89c6f8aa182d6f62f8c6331aece905ac7273ca4999660bfb5213e1d0370c1c",
            ),
            PublishedFile(
                url="test_sent_emo.csv",
                name="test_sent_emo.csv",
                sha256="8d37103938f7067600839fe29d5a114a6cd1bcdafb75bec101e06464c5006888",
            ),
        ),
        licence=_MELD_LICENCE,
        size="1.5 MB",
        afterwards="dialogue-ser data describe --reader meld",
    ),
    "meld-clips": _meld_clips("https://web.eecs.umich.edu/~mihalcea/downloads/"),
    "meld-clips-hub": _meld_clips("https://huggingface.co/datasets/declare-lab/MELD/resolve/main/"),
}
