"""The registry: every model is in it under its own name, and names cost nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from models.recommender import Recommender
from models.registry import MODELS, model_class

FOLDER = Path(__file__).resolve().parents[2] / "models"


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_name_leads_to_the_class_of_that_name(name: str) -> None:
    kind = model_class(name)
    assert issubclass(kind, Recommender)
    assert kind.name == name


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no model 'magic'; there are: .*content.*popularity"):
        model_class("magic")


def test_no_named_model_is_left_out() -> None:
    """Every class in models/ that says `name: ClassVar[str] = "..."`."""
    found = set()
    for path in sorted(FOLDER.glob("*.py")):
        for kind in [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ClassDef)]:
            for line in kind.body:
                if isinstance(line, ast.AnnAssign) and ast.unparse(line.target) == "name" and line.value:
                    assert isinstance(line.value, ast.Constant)
                    found.add((line.value.value, f"models.{path.stem}:{kind.name}"))
    assert found == set(MODELS.items())


def test_a_list_of_names_loads_no_torch() -> None:
    code = "import sys, models.registry; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=FOLDER.parent)
    assert done.stdout.strip() == "False"
