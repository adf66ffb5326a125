"""Small pieces of the page: every text that comes from data is escaped here."""

import base64
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from dialogue_ser.report.tables import format_interval, format_score
from dialogue_ser.report.theme import ink_on


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A figure as it is embedded.

    Args:
        name: file name under figures/, without ``.png``.
        light: PNG for light pages, also the file that is written.
        dark: PNG for dark pages.
        alt: what it shows, for who cannot see it.
    """

    name: str
    light: bytes
    dark: bytes
    alt: str


def document(title: str, subtitle: str, navigation: Mapping[str, str], body: str) -> str:
    """A whole self-contained page: no script, no address outside itself, readable light, dark and printed.

    Args:
        title: heading, also the window's.
        subtitle: one line under it.
        navigation: id of a section → link text; those that the body lacks are left out.
        body: the sections.
    """
    css = files("dialogue_ser.report").joinpath("report.css").read_text(encoding="utf-8")
    links = "".join(f'<a href="#{name}">{text}</a>' for name, text in navigation.items() if f'id="{name}"' in body)
    # No script and no request can leave the page, whatever a transcript holds.
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · dialogue_ser</title><style>{css}</style></head>\n<body>"
        '<a class="skip" href="#result">Skip to the result</a>'
        f"<header><div><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></div></header>"
        f'<nav aria-label="Sections"><div>{links}</div></nav>\n<main>{body}</main>\n'
        "<footer>Written by dialogue_ser from the files of the run directory.</footer>"
        "</body></html>\n"
    )


def picture(image: Picture, caption: str = "", *, wide: bool = False, dots_per_pixel: float = 1.5) -> str:
    """A figure element with both themes embedded; ``wide`` ones keep their size and scroll sideways."""
    width = int(struct.unpack(">I", image.light[16:20])[0] / dots_per_pixel)
    sources = [f"data:image/png;base64,{base64.b64encode(data).decode()}" for data in (image.dark, image.light)]
    text = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    inner = (
        f'<picture><source media="screen and (prefers-color-scheme: dark)" srcset="{sources[0]}">'
        f'<img src="{sources[1]}" alt="{escape(image.alt)}" width="{width}"></picture>'
    )
    if wide:
        inner = f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(image.alt)}">{inner}</div>'
    return f"<figure>{inner}{text}</figure>"


def section(name: str, title: str, body: str) -> str:
    """A titled part of the page that the navigation can jump to."""
    heading = f'<h2 id="{name}-title">{escape(title)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-title">{heading}{body}</section>\n'


def scrolling(table: str, label: str) -> str:
    """A table that scrolls sideways on a narrow screen, reachable by keyboard."""
    return f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(label)}">{table}</div>'


def chip(label: str, colours: Mapping[str, str], *, gold: bool = False) -> str:
    """A label in its colour."""
    colour = colours.get(label, "#888888")
    style = f"background:{colour};color:{ink_on(colour)}"
    return f'<span class="chip{" gold" if gold else ""}" style="{style}">{escape(label)}</span>'


def definitions(pairs: Sequence[tuple[str, object]]) -> str:
    """A definition list; empty values are left out."""
    items = [
        f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in pairs if value not in (None, "")
    ]
    return f"<dl>{''.join(items)}</dl>" if items else ""


def flattened(value: Any, prefix: str = "") -> list[tuple[str, object]]:
    """Leaves of nested mappings as ("a.b", value); lists are joined by commas.

    >>> flattened({"versions": {"torch": "2.13"}, "gpus": ["a", "b"]})
    [('versions.torch', '2.13'), ('gpus', 'a, b')]
    """
    if isinstance(value, Mapping):
        return [
            leaf for key, inner in value.items() for leaf in flattened(inner, f"{prefix}.{key}" if prefix else str(key))
        ]
    if isinstance(value, (list, tuple)):
        return [(prefix, ", ".join(map(str, value)))]
    return [(prefix, value)]


def slice_table(slices: Mapping[str, Mapping[str, Any]], heading: str) -> str:
    """Weighted F1 per slice as bars with intervals."""
    rows = []
    for name, value in slices.items():
        bar = f'<i style="width:{100 * value["weighted_f1"]:.1f}%"></i>'
        interval = ""
        if "low" in value:
            low, high = value["low"], value["high"]
            bar += f'<u style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></u>'
            interval = format_interval(low, high, 2)
        rows.append(
            f'<tr><th scope="row">{escape(name)}</th><td class="num">{value["n"]:,}</td>'
            f'<td class="bar"><div class="track" aria-hidden="true">{bar}</div></td>'
            f'<td class="num">{format_score(value["weighted_f1"], 3)}</td><td class="num">{interval}</td></tr>'
        )
    head = f'<tr><th scope="col">{escape(heading)}</th><th scope="col" class="num">turns</th>'
    head += '<th scope="col" colspan="3">weighted F1</th></tr>'
    return scrolling(f'<table class="slices"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>', heading)


def ruler(run: str, interval: Mapping[str, float], floors: Mapping[str, float]) -> str:
    """A line with the run's weighted F1, its interval, and the floors below it, as inline SVG."""
    values = [interval["low"], interval["high"], interval["estimate"], *floors.values()]
    low = max(0.0, int((min(values) - 0.03) * 10) / 10)
    high = min(1.0, int((max(values) + 0.03) * 10 + 0.999) / 10)

    def x(value: float) -> float:
        return 40 + 640 * (value - low) / max(high - low, 1e-9)

    parts = ['<line x1="40" x2="680" y1="58" y2="58" stroke="var(--line)" stroke-width="2"/>']
    tick = low
    while tick <= high + 1e-9:
        parts.append(
            f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="54" y2="62" stroke="var(--line)" stroke-width="2"/>'
            f'<text x="{x(tick):.1f}" y="78" text-anchor="middle" fill="var(--soft)" font-size="11">{tick:.1f}</text>'
        )
        tick += 0.1
    below = 100
    for name, value in sorted(floors.items(), key=lambda item: item[1]):
        parts.append(
            f'<line x1="{x(value):.1f}" x2="{x(value):.1f}" y1="58" y2="{below - 12}" stroke="var(--soft)" '
            f'stroke-dasharray="2 3"/>'
            f'<circle cx="{x(value):.1f}" cy="58" r="5" fill="var(--paper)" stroke="var(--soft)" stroke-width="2"/>'
            f'<text x="{x(value):.1f}" y="{below}" text-anchor="middle" fill="var(--soft)">'
            f"{escape(name)} {value:.3f}</text>"
        )
        below += 18
    run_x = x(interval["estimate"])
    parts.append(
        f'<line x1="{x(interval["low"]):.1f}" x2="{x(interval["high"]):.1f}" y1="58" y2="58" stroke="var(--accent)" '
        f'stroke-width="6" stroke-linecap="round" opacity=".45"/>'
        f'<circle cx="{run_x:.1f}" cy="58" r="8" fill="var(--accent)"/>'
        f'<text x="{min(max(run_x, 90), 630):.1f}" y="34" text-anchor="middle" fill="var(--ink)" font-weight="700">'
        f"{escape(run)} {interval['estimate']:.3f}</text>"
    )
    label = f"{run} {interval['estimate']:.3f}, floors " + ", ".join(f"{k} {v:.3f}" for k, v in floors.items())
    return (
        f'<svg class="ruler" viewBox="0 0 720 {below}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
