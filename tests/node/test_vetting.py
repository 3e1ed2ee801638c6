"""`p2prec catalog vet` on real homes: the demo's shops pass, planted catalogs are caught, mistakes are one line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

from node import cli
from node.config import Home, load_home
from node.session import home_encoder
from node.vetting import compare_addresses, compare_pictures, is_public
from sim.demo import call
from sim.personas import PERSONAS, STYLES
from tests.node.vetting_world import add_catalog, build_home, near_tastes, own_items, stranger, wares

N = 14


class QuietHandler(SimpleHTTPRequestHandler):
    """A shop's pictures, without a line for each on stderr."""

    def log_message(self, format: str, *values: object) -> None:
        pass


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return build_home(tmp_path_factory.mktemp("vetting"))


@pytest.fixture
def home(honest: Home, tmp_path: Path) -> Home:
    """A copy to plant things in."""
    shutil.copytree(honest.folder, tmp_path / "home")
    return load_home(tmp_path / "home")


def vetted(home: Home, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and platform -> what was found."""
    report = call("catalog", "vet", "--home", str(home.folder), "--seed", "1", *words)
    return report.exit_code, {one["platform"]: one for one in report.document["catalogs"]}


def failed(one: dict[str, Any]) -> set[str]:
    return {check["name"] for check in one["checks"] if not check["passed"]}


def test_an_honest_shop_passes_every_check(honest: Home) -> None:
    code, found = vetted(honest)
    assert (code, set(found)) == (0, {"Mayurva"}), "the own catalog is not on trial"
    one = found["Mayurva"]
    assert (one["passed"], one["mismatched"], one["comparable"]) == (True, 0, True)
    assert one["items"] == one["checked"] == 110
    assert 0 < one["exposure"] < 1
    names = {"halves", "twins", "spread", "agreement", "neighbours", "tastes", "texts"}
    assert {check["name"] for check in one["checks"]} == names
    assert all(set(check) == {"name", "value", "bar", "passed"} for check in one["checks"])


def test_items_planted_near_everybodys_taste_are_caught(home: Home) -> None:
    items, _, _ = wares(home, N)
    add_catalog(home, stranger(1), "Mirage", items, *near_tastes(home, N))
    code, found = vetted(home)
    assert code == 1
    assert found["Mayurva"]["passed"]
    one = found["Mirage"]
    assert {"texts", "tastes"} <= failed(one)
    assert one["mismatched"] == one["checked"] == N
    assert one["exposure"] > 3 * N / (150 + 110 + N)


def test_true_words_do_not_cover_for_planted_pictures(home: Home) -> None:
    items, _, text_ID = wares(home, N)
    add_catalog(home, stranger(1), "Mirage", items, near_tastes(home, N)[0], text_ID)
    code, found = vetted(home, "--publisher", "Mirage")
    assert (code, found["Mirage"]["mismatched"]) == (1, 0)
    assert failed(found["Mirage"]) & {"spread", "agreement"}


def test_leaving_the_words_vector_out_is_no_way_around(home: Home) -> None:
    items, image_ID, text_ID = wares(home, N)
    add_catalog(home, stranger(1), "Mirage", items, image_ID, np.zeros_like(text_ID))
    assert "texts" in failed(vetted(home)[1]["Mirage"])


def test_one_lie_among_many_is_found_where_it_is_shown(home: Home) -> None:
    """A sample of one is enough, because what people are shown is looked at as well."""
    items, image_ID, text_ID = wares(home, 60)
    lies = near_tastes(home, 3)
    add_catalog(
        home, stranger(1), "Mirage", items, np.vstack([lies[0], image_ID[3:]]), np.vstack([lies[1], text_ID[3:]])
    )
    one = vetted(home, "--sample", "3")[1]["Mirage"]
    assert one["checked"] <= 6
    assert "texts" in failed(one)


def test_one_vector_for_a_whole_shop_is_caught_without_an_encoder(home: Home) -> None:
    items, image_ID, text_ID = wares(home, N)
    items = [replace(item, name=f"{item.name} no {row}") for row, item in enumerate(items)]
    add_catalog(home, stranger(1), "Mirage", items, np.repeat(image_ID[:1], N, 0), np.repeat(text_ID[:1], N, 0))
    assert {"twins", "spread"} <= failed(vetted(home)[1]["Mirage"])


def test_the_same_seed_gives_the_same_document(honest: Home) -> None:
    assert vetted(honest, "--sample", "20") == vetted(honest, "--sample", "20")
    document = call("catalog", "vet", "--home", str(honest.folder), "--sample", "20").document
    assert 0 <= document["seed"] < 2**32


def test_a_leap_since_the_last_check_is_seen(home: Home, tmp_path: Path) -> None:
    first = call("catalog", "vet", "--home", str(home.folder)).document
    file = tmp_path / "before.json"
    file.write_text(json.dumps(first), "utf-8")
    assert vetted(home, "--before", str(file))[0] == 0
    first["catalogs"][0]["exposure"] = 0.01
    file.write_text(json.dumps(first), "utf-8")
    assert failed(vetted(home, "--before", str(file))[1]["Mayurva"]) == {"shift"}


def test_a_catalog_of_another_encoder_is_listed_and_never_compared(home: Home) -> None:
    items, image_ID, text_ID = wares(home, N)
    other = replace(home, config=replace(home.config, fingerprint="ab" * 32))
    add_catalog(other, stranger(1), "Elsewhere", items, image_ID, text_ID)
    one = vetted(home)[1]["Elsewhere"]
    assert (one["comparable"], one["checked"], one["checks"], one["passed"]) == (False, 0, [], True)


def test_the_lines_name_what_failed_and_why(home: Home) -> None:
    items, image_ID, text_ID = wares(home, N)
    add_catalog(home, stranger(1), "Mirage", items, image_ID, text_ID[::-1].copy())
    lines = call("catalog", "vet", "--home", str(home.folder)).lines
    assert any(line.startswith("Mirage") and line.endswith("FAILED") for line in lines)
    assert any(line.startswith("  BAD texts") and "lie" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--publisher", "Nobody"), "no other publisher 'Nobody'"),
        (("--publisher", "Ostrella"), "no other publisher 'Ostrella'"),
        (("--sample", "0"), "--sample must be"),
        (("--sample", "many"), "invalid int"),
        (("--seed", "-1"), "--seed must be"),
        (("--before", "/nowhere"), "can't be read"),
        (("--before", __file__), "is not what p2prec catalog vet"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(
    honest: Home, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str
) -> None:
    try:
        code = cli.run(["catalog", "vet", "--home", str(honest.folder), *words])
    except SystemExit as error:
        code = int(error.code or 0)
    output = capsys.readouterr()
    assert (code, output.out, output.err.count("\n")) == (2, "", 1)
    assert sentence in output.err


def test_alone_there_is_nothing_to_vet(tmp_path: Path) -> None:
    call("init", "--home", str(tmp_path / "home"), "--platform", "Alone")
    report = call("catalog", "vet", "--home", str(tmp_path / "home"))
    assert (report.exit_code, report.document["catalogs"]) == (0, [])


def test_pictures_are_compared_with_their_vectors(honest: Home, tmp_path: Path) -> None:
    """The shop's own pictures give the published vectors, smaller ones too; another item's do not."""
    _, image_ID, _ = own_items(honest)
    folder = honest.folder.parent / "images"
    paths = sorted(folder.iterdir())[:12]
    encoder = home_encoder(honest)
    rows = encoder.encode_images(paths).vectors
    assert compare_pictures(rows, paths, encoder) == (12, 0)
    assert (rows @ image_ID.T).max(axis=1).min() > 0.999
    recompressed = tmp_path / "again.jpg"
    with Image.open(paths[0]) as picture:
        picture.convert("RGB").save(recompressed, quality=85)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    assert compare_pictures(rows[[0, 1]], [recompressed, tmp_path / "broken.jpg"], encoder) == (1, 0)
    readable, wrong = compare_pictures(np.repeat(-rows[:1], 12, 0), paths, encoder)
    assert (readable, wrong) == (12, 12)


def test_pictures_are_fetched_from_their_addresses(honest: Home) -> None:
    """A real server beside this test: two pictures are as published, one is another's, one is gone."""
    folder = honest.folder.parent / "images"
    paths = sorted(folder.iterdir())[:3]
    encoder = home_encoder(honest)
    rows = encoder.encode_images([*paths, paths[0]]).vectors
    rows[2] = -rows[2]
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        urls = [f"{address}/{name}" for name in (*(path.name for path in paths), "gone.jpg")]
        assert compare_addresses(rows, urls, encoder) == (3, 1)
        server.shutdown()


def test_what_can_not_be_fetched_is_not_held_against_anybody(home: Home) -> None:
    items, image_ID, text_ID = wares(home, N)
    items = [replace(item, image_url="http://127.0.0.1:9/a.jpg") for item in items]
    add_catalog(home, stranger(1), "Mirage", items, image_ID, text_ID)
    one = vetted(home, "--pictures", "--publisher", "Mirage")[1]["Mirage"]
    assert "pictures" not in {check["name"] for check in one["checks"]}


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.jpg",
        "http://10.0.0.8/a.jpg",
        "http://[::1]/a.jpg",
        "http://169.254.169.254/a",
        "images/a.jpg",
    ],
)
def test_strangers_addresses_do_not_lead_into_the_owners_network(url: str) -> None:
    assert not is_public(url)
    assert is_public("http://8.8.8.8/a.jpg")


def test_no_publisher_takes_more_than_half_of_a_list(home: Home) -> None:
    """Not thrown out, a planted catalog has half of a list at most, and all of it where that is asked for."""
    items, _, _ = wares(home, N)
    add_catalog(home, stranger(1), "Mirage", items, *near_tastes(home, N, groups=1))
    user = next(one.name for one in PERSONAS if one.style == STYLES[0])
    words = ("recommend", user, "--home", str(home.folder))
    shown = [one["platform"] for one in call(*words).document["items"]]
    assert (len(shown), shown.count("Mirage")) == (10, 5)
    only = [one["platform"] for one in call(*words, "--platform", "Mirage").document["items"]]
    assert only == ["Mirage"] * 10
    for k, most in ((1, 1), (7, 4)):
        found = call(*words, "-k", str(k)).document["items"]
        assert len(found) == k
        assert sum(one["platform"] == "Mirage" for one in found) <= most
    newcomer = call("recommend", "somebody new", "--home", str(home.folder)).document["items"]
    assert sum(one["platform"] == "Mirage" for one in newcomer) <= 5
