import io

from rich.console import Console

from dialogue_ser.report.html import ruler, slice_table
from dialogue_ser.report.tables import cell_text, render_html, render_markdown, render_rich

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


def test_html_cells_are_escaped_and_the_first_is_a_row_header() -> None:
    html = render_html(ROWS, caption="a & b")
    assert '<th scope="row">&lt;i&gt;</th>' in html
    assert "<caption>a &amp; b</caption>" in html
    assert '<td class="num">2,610</td>' in html


def test_rich_shows_brackets_as_they_are() -> None:
    console = Console(width=120, file=io.StringIO())
    console.print(render_rich([{"label": "[red]joy[/red]", "interval": "[0.1, 0.2]"}]))
    text = console.file.getvalue()
    assert "[red]joy[/red]" in text
    assert "[0.1, 0.2]" in text


def test_one_seed_has_no_spread_to_show() -> None:
    assert cell_text({"mean": 0.5, "std": None}) == "0.5000"


def test_slice_bars_are_as_long_as_their_score() -> None:
    html = slice_table({"<shifted>": {"n": 1200, "weighted_f1": 0.5, "low": 0.4, "high": 0.65}}, "emotion")
    assert '<i style="width:50.0%"></i><u style="left:40.0%;width:25.0%"></u>' in html
    assert "&lt;shifted&gt;" in html
    assert "1,200" in html


def test_the_ruler_orders_run_and_floors_by_score() -> None:
    svg = ruler("run", {"estimate": 0.6, "low": 0.55, "high": 0.65}, {"majority": 0.3, "tfidf": 0.55})
    at = {
        name: float(svg.split(f">{name} ")[0].rsplit('x="', 1)[1].split('"')[0])
        for name in ("majority", "tfidf", "run")
    }
    assert at["majority"] < at["tfidf"] < at["run"]
