import json
import random
from pathlib import Path

from dialogue_ser.runs.checksums import is_unchanged, warn_if_changed, with_checksum, with_checksum_line


def test_yaml_text_that_was_changed_is_told_once_and_an_unchanged_or_old_one_never(tmp_path: Path, caplog) -> None:
    text = with_checksum_line("seed: 1\nname: ä\n")
    warn_if_changed(text, tmp_path / "a")
    warn_if_changed("seed: 1\n", tmp_path / "a")
    assert not caplog.records
    for _ in range(2):
        warn_if_changed(text.replace("seed: 1", "seed: 2"), tmp_path / "a")
    assert [record.message.partition(":")[0] for record in caplog.records] == [str(tmp_path / "a")]
    assert "delete its first line" in caplog.text


def test_a_flipped_bit_of_a_json_file_is_no_json_or_does_not_fit_its_checksum() -> None:
    whole = json.dumps(with_checksum({"corpus": "abc", "n": [1, 2.5, None], "packages": {"torch": "2"}})).encode()
    rng = random.Random(1)
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.randrange(8)
        try:
            values = json.loads(bytes(flipped))
        except ValueError:
            continue
        # A changed key of the checksum is an unknown key beside intact values.
        assert not is_unchanged(values) or json.dumps(values).startswith('{"corpus": "abc", "n": [1, 2.5, null]')


def test_values_without_a_checksum_count_as_unchanged() -> None:
    assert is_unchanged({"seed": 1})
    assert is_unchanged(json.loads(json.dumps(with_checksum({"b": 1.1, "a": (1, 2)}))))
