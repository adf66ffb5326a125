"""Pages made from templates: jinja2 escapes every text that comes from data, and a name that is missing is an error."""

from collections.abc import Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from dialogue_ser.report.figures.theme import ink_on
from dialogue_ser.report.sections.composition import Section
from dialogue_ser.report.sections.tables import cell_text, columns_of, format_interval, format_score, numeric_columns


def render_page(title: str, subtitle: str, sections: Mapping[str, Section]) -> str:
    """A whole self-contained page: no script, no address outside itself, readable light, dark and printed.

    Args:
        title: heading, also the window's.
        subtitle: one line under it.
        sections: id on the page, also the link's text in the navigation → section, in reading order.

    Raises:
        jinja2.UndefinedError: a template names what its section's context lacks.
    """
    # A template's output is escaped already: the only text of the page that is taken as markup.
    rendered = {
        name: Markup(_template(section.template).render(section.context, name=name))  # noqa: S704
        for name, section in sections.items()
    }
    return _template("page").render(title=title, subtitle=subtitle, sections=rendered)


@cache
def environment() -> Environment:
    """The templates of all pages, with the filters by which they format numbers."""
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
