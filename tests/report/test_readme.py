import json
from pathlib import Path

import pytest

from dialogue_ser.errors import DialogueSerError, MissingDataError
from dialogue_ser.report import readme
from dialogue_ser.report.readme import register_renderer, render


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(readme, "RENDERERS", {})
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "speed.json").write_text(json.dumps({"rows": [{"model": "rnn", "turns/s": 12.5}]}))
    path = tmp_path / "README.md"
    path.write_text("# A\n\n<!-- table:speed -->\nold\n<!-- /table -->\n\nkept\n")
    return path


def test_a_results_file_becomes_the_table_and_everything_else_stays(page: Path) -> None:
    assert render(page, page.parent / "results") == ("speed",)
    assert page.read_text() == (
        "# A\n\n<!-- table:speed -->\n| model | turns/s |\n|:--|--:|\n| rnn | 12.5000 |\n<!-- /table -->\n\nkept\n"
    )
    assert render(page, page.parent / "results") == ()


def test_check_names_stale_tables_and_writes_nothing(page: Path) -> None:
    before = page.read_text()
    assert render(page, page.parent / "results", check=True) == ("speed",)
    assert page.read_text() == before
    render(page, page.parent / "results")
    assert render(page, page.parent / "results", check=True) == ()


def test_a_registered_renderer_comes_before_the_file_of_its_name(page: Path) -> None:
    @register_renderer("speed")
    def _speed(results: Path) -> str:
        return f"**{json.loads((results / 'speed.json').read_text())['rows'][0]['model']}**\n"

    render(page, page.parent / "results")
    assert "-->\n**rnn**\n<!--" in page.read_text()
    with pytest.raises(DialogueSerError, match="exists already"):
        register_renderer("speed")(_speed)


def test_every_table_that_cannot_be_made_is_named_and_nothing_is_written(page: Path) -> None:
    text = page.read_text() + "<!-- table:sped -->\n<!-- /table -->\n<!-- table:bad -->\n<!-- /table -->\n"
    page.write_text(text)
    (page.parent / "results" / "bad.json").write_text("{}")
    with pytest.raises(DialogueSerError) as error:
        render(page, page.parent / "results")
    assert len(error.value.problems) == 2
    assert "did you mean 'speed'" in str(error.value)
    assert page.read_text() == text


@pytest.mark.parametrize(
    "text", ["<!-- table:speed -->\nnever closed\n", "<!-- table:speed -->\n<!-- table:speed -->\n<!-- /table -->\n"]
)
def test_a_marker_that_is_never_closed_is_an_error(page: Path, text: str) -> None:
    page.write_text(text)
    with pytest.raises(DialogueSerError, match="never closed"):
        render(page, page.parent / "results")


def test_a_missing_page_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError):
        render(tmp_path / "README.md", tmp_path)
