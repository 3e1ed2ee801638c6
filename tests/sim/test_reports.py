"""A simulation's report: true figures, no foreign markup, nothing fetched, and a picture whatever the outcome."""

from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from node.errors import UserError
from sim.outcome import Assertion, Outcome, Traffic
from sim.plot_style import INK, POINTS_MAX, label, spread
from sim.report_page import duration_text, size_text
from sim.reports import replay_command, report, write_report

HOSTILE = (
    "<script>alert(1)</script> & \"quoted\" 'too'",
    "--><svg onload=alert(1)>",
    "$\\frac{$ 100 % $x_1$",
    "_hidden",
    "\x1b[31mred\x1b[0m\r\n\tnew\u2028line \u202eright to left",
    "half of a character \ud800",
    "Größe 日本語 👗",
    "../../etc/passwd",
    "",
    "a" * 3000,
)


def two_shops() -> Outcome:
    rows: list[dict[str, object]] = []
    for part, best in (("discover", 0.61), ("warm", 0.83)):
        for platform in ("Atelier Nord", "Basar"):
            rows.append({"model": "ceiling (generator)", "platform": platform, "slice": part, "ndcg": best})
            for place, setting in enumerate(("isolated", "p2p", "pooled")):
                ndcg = None if (part, setting) == ("discover", "isolated") else best * (0.4 + 0.1 * place)
                rows.append(
                    {"setting": setting, "model": "taste prior", "platform": platform, "slice": part, "users": 1200}
                    | {"rmse": 2.125 + place, "ndcg": ndcg, "never": None}
                )
            rows.append({"model": "floor (random)", "platform": platform, "slice": part, "ndcg": 0.0875})
    return Outcome(
        scenario="two-shops",
        seed=3,
        digest="9b6f" * 16,
        nodes=3,
        events=48_000,
        virtual_seconds=3600.0,
        wall_seconds=12.0,
        rows=rows,
        asserted=[Assertion("every item is known", True, "212 of 212"), Assertion("no user leaves", False, "1 found")],
        curves={"items known": {"A": [(0.0, 0.0), (5.0, 0.5), (9.0, 1.0)], "B": [(0.0, 0.0), (9.0, 1.0)]}},
        bytes_by_kind={"head": 2_000, "fill": 48_123_456},
        frames_by_kind={"head": 10, "fill": 812, "ping": 7},
        latencies_ms={"query": list(range(1, 101)), "nobody waited": []},
        names=["A", "B", "C"],
        traffic=[Traffic(0, 1, 5, 5_000), Traffic(1, 0, 2, 70_000), Traffic(2, 2, 1, 0)],
        notes=["Latency is 20 ms.", "Customers are invented."],
    )


def of_hostile_names() -> Outcome:
    return Outcome(
        scenario=HOSTILE[0],
        seed=1,
        digest=HOSTILE[1],
        rows=[
            {"setting": name, "model": name, "platform": name, "slice": name, name: 0.5, "word": name}
            for name in HOSTILE
        ],
        asserted=[Assertion(name, True, name) for name in HOSTILE],
        curves={name: {other: [(0.0, 1.0)] for other in HOSTILE} for name in HOSTILE},
        bytes_by_kind=dict.fromkeys(HOSTILE, 5),
        frames_by_kind=dict.fromkeys(HOSTILE, 1),
        latencies_ms={name: [1, 2] for name in HOSTILE},
        names=list(HOSTILE),
        traffic=[Traffic(place, 0, 1, 10) for place in range(len(HOSTILE))],
        notes=list(HOSTILE),
    )


class Reader(HTMLParser):
    """What a browser would see: elements, their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text.append(data.strip())


def check_self_contained(folder: Path) -> Reader:
    """No script, no handler, nothing that a browser would fetch; every picture whole and every name unique."""
    text = (folder / "report.html").read_text("utf-8")
    reader = Reader(text)
    for tag, attributes in reader.tags:
        assert tag not in ("script", "link", "iframe", "img", "object", "embed", "base", "form")
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("href", "xlink:href", "src", "srcset", "data"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))
    assert not [url for url in re.findall(r"url\(\s*([^)]*)\)", text) if not url.startswith("#")]
    assert "@import" not in text
    assert set(re.findall(r'="(https?://[^/"]*)', text)) <= {"http://www.w3.org"}
    assert "default-src 'none'" in text
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = {attributes["xlink:href"][1:] for tag, attributes in reader.tags if tag == "use"}
    assert used <= set(ids)
    pictures = re.findall(r"<svg .*?</svg>", text, re.DOTALL)
    for picture in pictures:
        ElementTree.fromstring(picture)
        assert INK not in picture
    for path in folder.glob("*.png"):
        with Image.open(BytesIO(path.read_bytes())) as image:
            image.verify()
            assert image.format == "PNG"
            assert max(image.size) < 6000
    assert len(pictures) == len(list(folder.glob("*.png")))
    return reader


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    folder = tmp_path_factory.mktemp("report") / "new" / "folder"
    return folder, write_report(two_shops(), folder)


def test_the_files_are_those_that_are_told(written: tuple[Path, list[Path]]) -> None:
    folder, files = written
    assert set(files) == set(folder.iterdir())
    names = [path.name for path in files]
    assert names == [
        *("report.html", "outcome.json", "quality-ndcg.png", "quality-rmse.png", "convergence-1.png"),
        *("bytes-by-kind.png", "latencies.png", "who-talks-to-whom.png"),
    ]
    assert json.loads((folder / "outcome.json").read_text("utf-8"))["files"] == names
    check_self_contained(folder)


def test_the_page_has_every_section_and_every_figure_of_the_rows(written: tuple[Path, list[Path]]) -> None:
    reader = check_self_contained(written[0])
    outcome = two_shops()
    for word in ("What was run", "What was asserted", "Quality", "Convergence", "Bytes by kind", "Latencies"):
        assert word in reader.text
    for word in ("Who talks to whom", "Notes", outcome.digest, *outcome.notes, "1 of 2 assertions broke."):
        assert word in reader.text
    assert "p2prec sim run two-shops --nodes 3 --seed 3" in reader.text
    for row in outcome.rows:
        for name in ("setting", "model", "platform", "slice"):
            assert row.get(name) is None or row[name] in reader.text
        for name in ("ndcg", "rmse"):
            assert row.get(name) is None or f"{row[name]:.4f}" in reader.text
        assert row.get("users") is None or "1,200" in reader.text
    assert "never" not in reader.text


def test_the_document_is_the_one_of_the_contract(written: tuple[Path, list[Path]]) -> None:
    outcome = two_shops()
    answer = report(outcome, written[1])
    promised = ["scenario", "seed", "digest", "nodes", "events", "virtual_seconds", "wall_seconds", "rows"]
    more = ["asserted", "bytes_by_kind", "frames_by_kind", "latencies_ms", "notes", "files"]
    assert list(answer.document) == promised + more
    assert answer.document["rows"] == outcome.rows
    assert answer.document["asserted"][1] == {"claim": "no user leaves", "held": False, "figures": "1 found"}
    assert answer.document["latencies_ms"] == {
        "query": {"p50": 50, "p95": 95, "p99": 99, "max": 100, "count": 100},
        "nobody waited": {"p50": None, "p95": None, "p99": None, "max": None, "count": 0},
    }
    assert answer.document["files"] == [str(path) for path in written[1]]
    # A broken assertion is a failed check.
    assert answer.exit_code == 1
    outcome.asserted.pop()
    assert report(outcome, []).exit_code == 0


def test_the_table_is_grouped_and_aligned() -> None:
    lines = report(two_shops(), [Path("out/report.html")]).lines
    head = next(line for line in lines if "ndcg" in line)
    assert head.split() == ["setting", "model", "platform", "users", "rmse", "ndcg"]
    block = lines[lines.index(head) :]
    block = block[: block.index("")]
    assert [line for line in block if not line.startswith(" ")] == ["discover", "warm"]
    rows = [line for line in block if line.startswith(" ")]
    assert len(rows) == 1 + len(two_shops().rows)
    assert len({len(line) for line in rows}) == 1
    assert [line.split()[-1] for line in rows[1:4]] == ["0.6100", "-", "0.3050"]
    text = "\n".join(lines)
    assert re.search(r"^HELD +every item is known +212 of 212$", text, re.MULTILINE)
    assert re.search(r"^BROKEN +no user leaves +1 found$", text, re.MULTILINE)
    assert re.search(r"^fill +812 +48,123,456 +100.0 % +59,265$", text, re.MULTILINE)
    assert re.search(r"^query +100 +50 +95 +99 +100$", text, re.MULTILINE)
    assert "4,000 events/s" in text
    assert "out/report.html" in text
    order = ["discover", "HELD", "fill", "query", "digest"]
    assert sorted(order, key=lambda word: text.index(f"\n{word}")) == order


@pytest.mark.parametrize("nothing", [None, float("nan"), float("inf"), np.float32("nan"), np.float64("-inf")])
def test_what_is_no_number_is_null_and_a_dash(tmp_path: Path, nothing: object) -> None:
    rows = [{"model": "a", "ndcg": nothing, "rmse": 1.0}, {"model": "b", "ndcg": np.float32(0.25), "rmse": nothing}]
    outcome = Outcome("one", 0, rows=rows, virtual_seconds=float("nan"))
    answer = report(outcome, write_report(outcome, tmp_path))
    assert [(row["ndcg"], row["rmse"]) for row in answer.document["rows"]] == [(None, 1.0), (0.25, None)]
    assert [line.split() for line in answer.lines[3:5]] == [["a", "-", "1.0000"], ["b", "0.2500", "-"]]

    def refuse(word: str) -> None:
        raise AssertionError(word)

    text = (tmp_path / "outcome.json").read_text("utf-8")
    assert json.loads(text, parse_constant=refuse)["rows"] == answer.document["rows"]
    assert not re.search(r"\b(nan|inf|None)\b", " ".join([*check_self_contained(tmp_path).text, *answer.lines]))


def test_figures_of_any_kind_have_a_cell() -> None:
    rows = [{"model": "m", "tiny": 1.5e-7, "yes": True, "list": [1, None], "count": np.int64(12345), "big": 12345.678}]
    assert report(Outcome("one", 0, rows=rows), []).lines[3].split() == [
        *("m", "1.5e-07", "yes", "[1,", "null]", "12,345", "12,345.7")
    ]


def test_an_empty_outcome_is_told(tmp_path: Path) -> None:
    outcome = Outcome("empty", 0)
    files = write_report(outcome, tmp_path)
    assert [path.name for path in files] == ["report.html", "outcome.json"]
    reader = check_self_contained(tmp_path)
    assert "Nothing was asserted." in reader.text
    assert reader.text.count("Nothing was recorded.") == 6
    assert report(outcome, files).document["rows"] == []
    assert replay_command(outcome) == "p2prec sim run empty --seed 0"


def test_names_that_are_markup_or_mathematics_or_terminal_codes_stay_text(tmp_path: Path) -> None:
    outcome = of_hostile_names()
    answer = report(outcome, write_report(outcome, tmp_path))
    reader = check_self_contained(tmp_path)
    assert HOSTILE[0] in reader.text
    assert HOSTILE[1] in reader.text
    assert "a" * 3000 in reader.text
    assert not [line for line in answer.lines if not line.isprintable()]
    json.dumps(answer.document, ensure_ascii=False).encode()
    assert json.loads((tmp_path / "outcome.json").read_text("utf-8"))["notes"][4] == HOSTILE[4]
    # Nobody's name is a path.
    assert all(re.fullmatch(r"[a-z0-9-]+\.(png|html|json)", path.name) for path in tmp_path.iterdir())
    assert unescape(replay_command(outcome)).startswith("p2prec sim run '<script>")


def test_five_hundred_nodes_fit(tmp_path: Path) -> None:
    random = Random(0)
    pairs = [(sender, random.randrange(500)) for sender in range(500) for _ in range(6)]
    outcome = Outcome(
        "crowd",
        0,
        nodes=500,
        rows=[
            {"setting": "p2p", "model": f"m{place % 30}", "platform": f"shop {place}", "slice": "warm", "ndcg": 0.1}
            for place in range(500)
        ],
        curves={"heads": {f"node {place}": [(at, at * place) for at in range(20)] for place in range(500)}},
        bytes_by_kind={f"kind {place}": place for place in range(90)},
        latencies_ms={"spread": [random.randrange(100_000) for _ in range(20_000)]},
        names=[f"12D3KooW{place:044}" for place in range(500)],
        traffic=[Traffic(sender, receiver, 1, random.randrange(1, 10**6)) for sender, receiver in pairs],
    )
    assert len(write_report(outcome, tmp_path)) == 2 + 5
    check_self_contained(tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 4_000_000


@pytest.mark.parametrize("nodes", [1, 2, 60, 61])
def test_who_talks_to_whom_without_names_or_with_one_weight(tmp_path: Path, nodes: int) -> None:
    traffic = [Traffic(place, (place + 1) % nodes, 1, 7) for place in range(nodes)]
    write_report(Outcome("ring", 0, traffic=traffic), tmp_path)
    check_self_contained(tmp_path)
    write_report(Outcome("silent", 0, traffic=[Traffic(0, nodes - 1, 0, 0)]), tmp_path)
    check_self_contained(tmp_path)


def test_only_bounds_and_only_equal_waits_are_drawn(tmp_path: Path) -> None:
    outcome = Outcome(
        "bounds",
        0,
        rows=[{"model": "floor", "ndcg": 0.0}, {"model": "ceiling", "ndcg": 0.0}],
        curves={"points": {"none": [], "nan": [(0.0, float("nan"))]}, "below": {"one": [(1.0, -3.0)]}},
        latencies_ms={"at once": [0, 0, 0], "long": [0, 10**9]},
        bytes_by_kind={"empty": 0},
    )
    names = [path.stem for path in write_report(outcome, tmp_path)[2:]]
    assert names == ["quality-ndcg", "convergence-2", "bytes-by-kind", "latencies"]
    check_self_contained(tmp_path)


def test_the_same_outcome_gives_the_same_bytes(written: tuple[Path, list[Path]], tmp_path: Path) -> None:
    for path in write_report(two_shops(), tmp_path):
        assert path.read_bytes() == (written[0] / path.name).read_bytes(), path.name


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    (tmp_path / "full" / "report.html").mkdir(parents=True)
    for folder in (tmp_path / "taken", tmp_path / "taken" / "below", tmp_path / "full", Path("/proc/self/report")):
        with pytest.raises(UserError, match="cannot write into the folder") as refused:
            write_report(Outcome("one", 0), folder)
        assert "\n" not in str(refused.value)


def test_sizes_waits_and_places() -> None:
    assert [size_text(size) for size in (0, 999, 1000, 48_123_456, 3.2e9, 4e12)] == [
        *("0 B", "999 B", "1 kB", "48.1 MB", "3.2 GB", "4,000 GB")
    ]
    assert [duration_text(wait) for wait in (5, 999, 1500, 3_600_000)] == ["5 ms", "999 ms", "1.5 s", "3,600 s"]
    assert (label(None), label("a" * 32), label("a" * 50 + "tail", 9)) == ("", "a" * 32, "aaaaa…ail")
    assert spread(1) == [0]
    assert spread(3) == [0, 1, 2]
    assert (len(spread(10**5)), spread(10**5)[0], spread(10**5)[-1]) == (POINTS_MAX, 0, 10**5 - 1)
