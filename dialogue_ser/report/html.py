"""Make pages from jinja2 templates. Text from data is always escaped, and a missing name is an error."""

from collections.abc import Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from dialogue_ser.report.figures.theme import ink_on
from dialogue_ser.report.sections.composition import Section
from dialogue_ser.report.sections.tables import cell_text, columns_of, format_interval, format_score, numeric_columns


def render_page(title: str, subtitle: str, sections: Mapping[str, Section]) -> str:
    """Return a page as HTML. It has no script, loads nothing, and can be read in light and dark mode and on paper.

    Args:
        title: heading of the page and title of the window.
        subtitle: one line under the heading.
        sections: id → section, in reading order. The id is also the text of the link in the navigation.

    Raises:
        jinja2.UndefinedError: a template uses a name that its section's context lacks.
    """
    # The output of a template is escaped already. No other text of the page counts as markup.
    rendered = {
        name: Markup(_template(section.template).render(section.context, name=name))  # noqa: S704
        for name, section in sections.items()
    }
    return _template("page").render(title=title, subtitle=subtitle, sections=rendered)


@cache
def environment() -> Environment:
    """Return the jinja2 environment of all templates, with the filters that format numbers."""
    made = Environment(
        loader=PackageLoader("dialogue_ser.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(
        cell_text=cell_text,
        columns_of=columns_of,
        ink_on=ink_on,
        numeric_columns=numeric_columns,
        score=format_score,
    )
    made.globals.update(format_interval=format_interval)
    return made


def _template(name: str) -> Template:
    return environment().get_template(f"{name}.html.j2")
