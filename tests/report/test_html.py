import ast
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import UndefinedError

import dialogue_ser.report
from dialogue_ser.report.html import environment, render_page
from dialogue_ser.report.sections.composition import Section

ROOM = Path(dialogue_ser.report.__file__).parent
TEMPLATES = sorted((ROOM / "templates").glob("*.html.j2"))
HOSTILE = (
    "<script>alert(1)</script>",
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "</title><img src=x onerror=alert(1)>",
    "<!-- <b>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; &amp;",
    "<svg/onload=alert(1)>",
    "javascript:alert(1)\x00\u2028",
)


class _Found(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def _sections(text: str) -> dict[str, Section]:
    """Return three sections in which every text is ``text``: a table, errors with chips, and settings."""
    error = {"speaker": text, "before": text, "text": text, "utterance": text, "predicted": text, "gold": text}
    return {
        "scores": Section(
            template="scores",
            context={"split_rows": [{text: text}], "floor_rows": [{text: text}], "split_name": text, "notes": [text]},
        ),
        "errors": Section(
            template="errors",
            context={"errors": [error | {"p_predicted": 0.7, "p_gold": 0.2}], "colours": {"x": "#888888"}},
        ),
        "run": Section(template="run", context={"command": text, "facts": [(text, text)], "config": text}),
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_markup_and_every_text_is_shown_unchanged(text: str) -> None:
    plain, page = (_Found(render_page(said, said, _sections(said))) for said in ("plain", text))
    assert page.tags == plain.tags
    assert page.attributes == plain.attributes
    assert page.text.count(text) == plain.text.count("plain")


def test_a_template_that_lacks_a_value_is_an_error_and_not_a_gap() -> None:
    with pytest.raises(UndefinedError, match="notes"):
        render_page("t", "", {"scores": Section(template="scores", context={"split_rows": [], "floor_rows": []})})


def test_the_navigation_names_the_sections_that_are_there_in_their_order() -> None:
    html = render_page("t", "", _sections("x"))
    assert re.findall(r'<a href="#(\w+)">(\w+)</a>', html) == [
        ("scores", "Scores"), ("errors", "Errors"), ("run", "Run")
    ]  # fmt: skip


def test_markup_is_written_in_templates_and_nowhere_else() -> None:
    tag = re.compile(r"(?<!\?P)</?[a-z][a-z0-9]*[ />]")
    found = [
        f"{path.name}:{node.lineno}"
        for path in sorted(ROOM.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and tag.search(node.value)
    ]
    assert found == []


@pytest.mark.parametrize("path", TEMPLATES, ids=[path.name for path in TEMPLATES])
def test_no_template_switches_escaping_off(path: Path) -> None:
    assert not re.search(r"\|\s*safe\b|autoescape|Markup", path.read_text(encoding="utf-8"))


def test_cells_are_escaped_and_the_first_is_a_row_header() -> None:
    rows = [{"system": "<i>", "n": 2610}]
    html = environment().get_template("macros.html.j2").module.table(rows, "a & b")  # type: ignore[attr-defined]
    assert '<th scope="row">&lt;i&gt;</th>' in html
    assert 'aria-label="a &amp; b"' in html
    assert '<td class="num">2,610</td>' in html


def test_slice_bars_are_as_long_as_their_score() -> None:
    slices = {"<shifted>": {"n": 1200, "weighted_f1": 0.5, "low": 0.4, "high": 0.65}}
    html = (
        environment().get_template("macros.html.j2").module.slice_table(slices, "emotion", "weighted_f1", "weighted F1")
    )  # type: ignore[attr-defined]
    assert '<i style="width:50.0%"></i><u style="left:40.0%;width:25.0%"></u>' in html
    assert "<shifted>" not in html
    assert "<shifted>" in unescape(html)
    assert "1,200" in html
