"""The manual is part of the program: what it names exists, and what exists is named."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from models.registry import MODELS
from node import importers
from node.api import MODELS as PAGE_MODELS
from node.api import ROUTES
from node.cli import build_parser
from node.shop_formats import FIELDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
CATALOG_VERBS = ("import", "list", "show", "remove", "vet")
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> dict[tuple[str, ...], argparse.ArgumentParser]:
    """Every command of the parser, by its words."""
    found = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                found |= commands(child, (*words, name)) or {(*words, name): child}
    return found


def test_every_command_is_in_the_changelog_or_readme_and_takes_json() -> None:
    known = commands(build_parser())
    assert len(known) >= 11
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8").replace("import|list|show|remove", " ".join(CATALOG_VERBS))
    for words, parser in known.items():
        said = f"`p2prec {' '.join(words)}" in changelog or f"`{' '.join(words)}`" in changelog or words[0] == "catalog"
        assert said, words
        assert words[0] != "catalog" or words[1] in CATALOG_VERBS, words
        assert "--json" in parser.format_help(), words
        assert parser.description, words


def test_every_question_of_the_api_is_in_its_manual() -> None:
    manual = (ROOT / "docs/api.md").read_text("utf-8")
    told = re.findall(r"^\| (GET|POST) \| `/api/(\w+)", manual, re.MULTILINE)
    assert sorted(told) == sorted((method, name) for method, name, _ in ROUTES)
    assert sorted(re.search(r"`model` is one of (.*);", manual)[1].replace("`", "").split(", ")) == sorted(PAGE_MODELS)  # type: ignore[index]


def test_the_commands_that_the_readme_shows_parse() -> None:
    shown = [line.split("#")[0].strip() for line in README.splitlines() if line.startswith("p2prec ")]
    assert len(shown) >= 5
    for line in shown:
        words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', line)[1:]]
        assert build_parser().parse_args(words).function


def test_the_files_that_the_readme_names_exist() -> None:
    tree = README.split("## Where things are")[1].split("```")[1]
    folder = ""
    for line in tree.splitlines():
        if line and not line.startswith(" "):
            folder = line.split("/")[0]
        for name in re.findall(r"\b[a-z_]+\.py\b", line):
            assert (ROOT / folder / name).exists(), f"{folder}/{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_page_on_formats_names_every_format_reason_and_field() -> None:
    page = (ROOT / "docs" / "formats.md").read_text("utf-8")
    for word in (*importers.FORMATS, *importers.REASONS, *FIELDS):
        assert f"`{word}`" in page, word


def test_the_models_that_the_help_names_exist() -> None:
    recommend = " ".join(commands(build_parser())[("recommend",)].format_help().split())
    named = re.search(r"--model NAME as ([\w, ]+) \(default", recommend)
    assert named is not None
    assert set(named[1].split(", ")) <= set(MODELS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_project_speaks_of_itself_alone(page: Path) -> None:
    assert not re.search(r"/work/|/root/|\bTODO\b", page.read_text("utf-8"))
