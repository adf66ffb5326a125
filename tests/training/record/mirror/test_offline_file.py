import pytest

from dialogue_ser.training.record.mirror.offline_file import CutOffError, refuse_unless_whole


def test_a_file_that_is_cut_off_is_noticed(offline, tmp_path):
    finished_run, send = offline
    folder = finished_run(model=False)
    send(folder)
    (file,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    refuse_unless_whole(file)
    content = file.read_bytes()
    for n_bytes in (10, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:n_bytes])
        with pytest.raises(CutOffError, match=f"is cut off after {n_bytes} bytes"):
            refuse_unless_whole(file)
    file.write_bytes(b"other")
    with pytest.raises(ValueError, match="is no file of W&B"):
        refuse_unless_whole(file)
