"""How a report looks: a table as lines for a terminal, and sections of tables and pictures as one page of HTML.

The page loads nothing: styles and pictures are inside, and its own policy forbids the rest. All text is escaped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --quiet: #626c77; --paper: #ffffff; --line: #dde2e8; --band: #f4f6f9;
  --good: #0b7a4b; --bad: #b3261e; --link: #0060a8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dfe4ea; --quiet: #98a3af; --paper: #14181d; --line: #2f3741; --band: #1c2229;
    --good: #4cc38a; --bad: #ff8a80; --link: #6cb6ff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 68rem; color: var(--ink); background: var(--paper);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .6rem; padding-top: .9rem; border-top: 1px solid var(--line); }
p { margin: .4rem 0; max-width: 48rem; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: 1rem 0 0; font-size: .9rem; }
a { color: var(--link); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.25rem; margin: .6rem 0; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .9rem; }
.table { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .8rem .28rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { color: var(--quiet); font-weight: 600; white-space: nowrap; }
.figure { text-align: right; padding-left: .6rem; }
.figure, .figures td { white-space: nowrap; }
tr.group th { padding: 1rem .6rem .3rem 0; border-bottom: 2px solid var(--line); }
tbody tr:not(.group):hover { background: var(--band); }
.held td:first-child, .verdict.held { color: var(--good); font-weight: 700; }
.broken td:first-child, .verdict.broken { color: var(--bad); font-weight: 700; }
figure { margin: 1rem 0; overflow-x: auto; }
svg { max-width: 100%; height: auto; color: var(--ink); }
@media print { nav { display: none; } figure, tr { break-inside: avoid; } body { max-width: none; }
  table { font-size: .65rem; } }
"""


@dataclass(frozen=True, slots=True)
class Table:
    """Cells that are text already, in groups with a title. The first `words` columns are words, the rest figures."""

    head: list[str]
    groups: list[tuple[str, list[list[str]]]]
    words: int = 1
    marked: bool = False
    """Whether the first cell of a row is a verdict, and colours it."""

    def lines(self) -> list[str]:
        """For a terminal: columns aligned over all groups, words to the left and figures to the right."""
        cells = [self.head, *(row for _, rows in self.groups for row in rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(self.head))]
        indent = "  " if any(title for title, _ in self.groups) else ""
        lines = [indent + self._line(self.head, widths)] if any(self.head) else []
        for title, rows in self.groups:
            lines += [title] if title else []
            lines += [indent + self._line(row, widths) for row in rows]
        return lines

    def _line(self, row: list[str], widths: list[int]) -> str:
        cells = [
            f"{cell:<{width}}" if column < self.words else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()


@dataclass(frozen=True, slots=True)
class Section:
    """One heading of the page and what stands below it, in this order."""

    title: str
    sentences: list[str] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    pictures: list[tuple[str, str]] = field(default_factory=list)
    """Title and SVG; the only thing that goes into the page as it is."""
    tables: list[Table] = field(default_factory=list)


def printable(text: object) -> str:
    """The text without what moves a cursor, breaks a line or is no character (names come from anywhere)."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))


def size_text(size: float) -> str:
    """Bytes as people say them."""
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB" if size < 999.5 else f"{size:,.0f} GB"


def duration_text(milliseconds: float) -> str:
    """Milliseconds as people say them."""
    return f"{milliseconds:.4g} ms" if milliseconds < 1000 else f"{milliseconds / 1000:,.4g} s"


def page(title: str, verdict: str, held: bool | None, sections: list[Section]) -> str:
    """The whole document. `verdict` is one sentence below the title, green or red where something `held` or broke."""
    numbered = list(enumerate(sections, 1))
    links = "".join(f'<a href="#s{place}">{_text(section.title)}</a>' for place, section in numbered)
    body = "".join(_section(f"s{place}", section) for place, section in numbered)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<h1>{_text(title)}</h1>\n<p class="verdict {_verdict(held)}">{_text(verdict)}</p>\n'
        f"<nav>{links}</nav>\n{body}</body>\n</html>\n"
    )


def _section(anchor: str, section: Section) -> str:
    parts = [f'<h2 id="{anchor}">{_text(section.title)}</h2>\n']
    parts += [f"<p>{_text(sentence)}</p>\n" for sentence in section.sentences]
    if section.facts:
        facts = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>\n" for name, value in section.facts)
        parts.append(f"<dl>\n{facts}</dl>\n")
    parts += [_picture(title, svg) for title, svg in section.pictures]
    parts += [_table(table) for table in section.tables]
    return "".join(parts)


def _table(table: Table) -> str:
    head = "".join(_cell("th", name, column, table.words) for column, name in enumerate(table.head))
    # Claims are sentences and break into lines; names beside figures do not.
    kind = "" if table.marked else ' class="figures"'
    parts = [f'<div class="table"><table{kind}>\n<thead><tr>{head}</tr></thead>\n']
    for title, rows in table.groups:
        parts.append("<tbody>\n")
        if title:
            parts.append(f'<tr class="group"><th colspan="{len(table.head)}">{_text(title)}</th></tr>\n')
        for row in rows:
            cells = "".join(_cell("td", cell, column, table.words) for column, cell in enumerate(row))
            mark = f' class="{_verdict(row[0] == "HELD")}"' if table.marked else ""
            parts.append(f"<tr{mark}>{cells}</tr>\n")
        parts.append("</tbody>\n")
    return "".join([*parts, "</table></div>\n"])


def _cell(tag: str, text: str, column: int, words: int) -> str:
    kind = "" if column < words else ' class="figure"'
    return f"<{tag}{kind}>{_text(text)}</{tag}>"


def _picture(title: str, svg: str) -> str:
    named = svg.replace("<svg ", f'<svg role="img" aria-label="{_text(title)}" ', 1)
    return f"<figure>{named}</figure>\n"


def _verdict(held: bool | None) -> str:
    return {True: "held", False: "broken", None: "open"}[held]


def _text(text: str) -> str:
    return escape(printable(text))
