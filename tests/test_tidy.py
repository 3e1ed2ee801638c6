"""The design's laws about the code itself, checked on the syntax tree: who may import whom, one door for each heavy
library, no cycle, no ambient clock or chance in the pure folders, and a size that a reader can hold.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("protocol", "models", "node", "sim")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
LINES_MAX = 350
FUNCTION_LINES_MAX = 60

# Own packages that each folder may import.
MAY_IMPORT = {
    "protocol": {"protocol"},
    "models": {"models"},
    "node": {"node", "protocol", "models"},
    "sim": {"sim", "node", "protocol", "models"},
}
# Foreign packages of the two pure folders; node and sim are free, but for the doors.
FOREIGN = {
    "protocol": {"msgpack", "cryptography", "numpy"},
    "models": {
        "numpy",
        "scipy",
        "torch",
        "open_clip",
        "PIL",
        "safetensors",
        "huggingface_hub",
        "tqdm",
        "dp_accounting",
    },
}
LIBP2P = tuple(f"node/libp2p_{room}.py" for room in ("transport", "host", "guards", "pubsub"))
# library -> the files that may import it, one for most; libp2p's guards and the pictures fill more
DOORS: dict[str, str | tuple[str, ...]] = {
    "msgpack": "protocol/wire.py",
    "cryptography": "protocol/identity.py",
    "libp2p": LIBP2P,
    "multiaddr": LIBP2P,
    "sqlite3": "node/database.py",
    "open_clip": "models/clip.py",
    "dp_accounting": "models/privacy.py",
    "ray": "sim/sweep.py",
    "matplotlib": ("sim/plots.py", "sim/outcome_plots.py", "sim/plot_style.py"),
    "optuna": "sim/tuning.py",
    "pyarrow": "node/documents.py",
    "starlette": "node/api.py",
    "anyio": "node/api.py",
    "uvicorn": "node/api_server.py",
    "prometheus_client": "node/metrics.py",
}
# Names that read a clock, a device of chance or the environment: arguments instead, in the pure folders.
AMBIENT_MODULES = {"random", "secrets", "uuid", "time", "datetime"}
AMBIENT_CALLS = {"os.urandom", "os.environ", "os.getenv", "np.random.default_rng()", "torch.manual_seed"}
# numpy's and torch's hidden global state
AMBIENT_PREFIXES = (
    "np.random.seed",
    "np.random.rand",
    "np.random.normal",
    "np.random.choice",
    "torch.rand",
    "torch.manual",
)


# Functions whose broad handler does not raise on: one connection of a peer, and the calls into libp2p that serve it,
# which may raise anything.
BROAD = {
    "node/libp2p_guards.py": {"_tend", "guarded_stream", "read", "write", "quietly", "gone_if_failing"},
    "node/libp2p_pubsub.py": {"push_msg", "stream_handler"},
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports_of(tree: ast.AST) -> Iterator[str]:
    """Every imported module, dotted, at whatever depth the statement stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def runtime_imports_of(path: Path) -> set[str]:
    """Imports outside `if TYPE_CHECKING`: annotations make no cycle."""
    tree = tree_of(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    return set(imports_of(tree))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_keep_to_the_folders_borders(path: Path) -> None:
    folder = path.relative_to(ROOT).parts[0]
    roots = {module.split(".")[0] for module in imports_of(tree_of(path))}
    assert roots & set(FOLDERS) <= MAY_IMPORT[folder]
    foreign = roots - set(FOLDERS) - set(sys.stdlib_module_names)
    if folder in FOREIGN:
        assert foreign <= FOREIGN[folder]
    for library in roots & set(DOORS):
        doors = DOORS[library]
        assert name_of(path) in ((doors,) if isinstance(doors, str) else doors), f"{library} has its door: {doors}"
    if folder == "protocol" and "numpy" in roots:
        assert path.name in ("vectors.py", "weights.py", "factor_rows.py")


def test_no_file_imports_itself_through_others() -> None:
    modules = {name_of(path)[:-3].replace("/", ".").removesuffix(".__init__"): path for path in FILES}
    graph = {module: runtime_imports_of(path) & set(modules) - {module} for module, path in modules.items()}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"cycle: {' -> '.join((*way, module))}"
        if module not in done:
            for other in sorted(graph[module]):
                visit(other, (*way, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_fit_a_reader(path: Path) -> None:
    text, tree = path.read_text("utf-8"), tree_of(path)
    assert text.count("\n") <= LINES_MAX
    assert ast.get_docstring(tree), "a file says what it is"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < FUNCTION_LINES_MAX, node.name


@pytest.mark.parametrize("path", [p for p in FILES if name_of(p).startswith(("protocol/", "models/"))], ids=name_of)
def test_time_and_chance_are_arguments(path: Path) -> None:
    tree = tree_of(path)
    assert not {module.split(".")[0] for module in imports_of(tree)} & AMBIENT_MODULES
    said = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call | ast.Attribute)}
    assert not said & AMBIENT_CALLS
    assert not [one for one in said if one.startswith(AMBIENT_PREFIXES)]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_error_is_swallowed_wholesale(path: Path) -> None:
    """Broad handlers only where the last thing they do is raise on, but for those named in BROAD."""
    tree = tree_of(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef) and node.name in BROAD.get(name_of(path), ()):
            node.body = [ast.Pass()]
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = (
                {ast.unparse(one) for one in ast.walk(node.type) if isinstance(one, ast.Name)} if node.type else set()
            )
            broad = not node.type or caught & {"Exception", "BaseException"}
            assert not broad or ast.unparse(node.body[-1]) == "raise"
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            assert not {"Exception", "BaseException"} & {ast.unparse(one) for one in node.args}


def test_heavy_libraries_are_not_loaded_before_they_are_needed() -> None:
    """What `p2prec --help` imports, followed through our own files by their top-level imports."""
    modules = {name_of(path)[:-3].replace("/", "."): path for path in FILES}
    waiting, seen, foreign = ["node.cli", "sim.commands"], set(), set()
    while waiting:
        module = waiting.pop()
        if module in seen or module not in modules:
            continue
        seen.add(module)
        for node in tree_of(modules[module]).body:
            names = set(imports_of(node)) if isinstance(node, ast.Import | ast.ImportFrom) else set()
            waiting += [name for name in names if name.split(".")[0] in FOLDERS]
            foreign |= {name.split(".")[0] for name in names} - set(FOLDERS) - set(sys.stdlib_module_names)
    assert foreign == set()
    assert len(seen) >= 3
