import io

from rich.console import Console

from dialogue_ser.report.sections.tables import cell_text, columns_of, numeric_columns, render_markdown, render_rich

ROWS = [
    {"system": "a|b", "weighted F1": {"mean": 0.5, "std": 0.01}, "lead": "+0.020 [0.001, 0.030]", "n": 2610},
    {"system": "<i>", "weighted F1": 0.31265, "lead": None, "n": 7, "note": "x"},
]


def test_markdown_has_every_column_right_aligned_numbers_and_escaped_pipes() -> None:
    lines = render_markdown(ROWS).splitlines()
    assert lines[0] == "| system | weighted F1 | lead | n | note |"
    assert lines[1] == "|:--|--:|--:|--:|:--|"
    assert lines[2] == r"| a\|b | 0.5000 ± 0.0100 | +0.020 [0.001, 0.030] | 2,610 | – |"
    assert lines[3] == "| <i> | 0.3126 | – | 7 | x |"


def test_columns_can_be_chosen_and_ordered() -> None:
    assert render_markdown(ROWS, ["n", "system"]).splitlines()[0] == "| n | system |"


def test_only_columns_of_numbers_intervals_and_blanks_are_right_aligned() -> None:
    assert numeric_columns(ROWS, columns_of(ROWS)) == {"weighted F1", "lead", "n"}


def test_rich_shows_brackets_as_they_are() -> None:
    console = Console(width=120, file=io.StringIO())
    console.print(render_rich([{"label": "[red]joy[/red]", "interval": "[0.1, 0.2]"}]))
    text = console.file.getvalue()
    assert "[red]joy[/red]" in text
    assert "[0.1, 0.2]" in text


def test_one_seed_has_no_spread_to_show() -> None:
    assert cell_text({"mean": 0.5, "std": None}) == "0.5000"
