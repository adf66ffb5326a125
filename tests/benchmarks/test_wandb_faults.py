"""The benchmark of W&B's faults: what its table says, and that it can be tried. No number of it is asserted."""

from benchmarks.wandb_faults.__main__ import KINDS, NOTHING, render


def row(kind: str, **changes: object) -> dict[str, object]:
    values = {"seconds": [1.0, 9.0, 2.0], "same_metrics": True, "warnings": [1, 1, 1], "processes_left": 0}
    return {"kind": kind, "lines": 7, "of_lines": 8, **values, **changes}


def test_the_table_has_the_median_the_most_and_what_is_lost() -> None:
    result = {
        "rows": [row(NOTHING), row("the key is gone", same_metrics=False, warnings=[0, 1, 1])],
        "machine": {"cpu_count": 2},
        "load": 0.5,
        "versions": {"wandb": "0"},
        "command": "python -m benchmarks.wandb_faults",
    }
    table = render(result)
    assert "| the key is gone | no | 0/1 | 2.0 (most 9.0) | 7 of 8 | 0 |" in table
    assert NOTHING not in table
    assert "medians of 3 tries" in table
    assert "a load of 0.5" in table


def test_every_kind_of_server_is_tried() -> None:
    kinds = list(KINDS.values())
    assert {kind.server for kind in kinds} == {"", "live", "silent", "error", "refusing"}
    assert any(kind.kills for kind in kinds)
    assert any(kind.kibibytes for kind in kinds)
