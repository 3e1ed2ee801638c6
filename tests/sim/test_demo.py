"""`p2prec demo` from nothing to recommendations: real files, real stores, the embedded encoder, in miniature."""

from __future__ import annotations

import json
import os
import signal
from argparse import Namespace
from pathlib import Path
from urllib.parse import urlencode

import pytest

from node.cli import build_parser, run
from node.config import load_home
from node.control import is_running
from node.errors import UserError
from sim.demo import SHOWN, call, claim, run_demo, show_demo
from sim.demo_page import serve_pages
from sim.personas import PERSONAS
from tests.node.api.client import Client

SIZES = (60, 45)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("demo") / "new"
    return folder, show_demo(folder, 3, image_size=48, sizes=SIZES).document


def test_every_row_is_imported_with_its_picture_and_every_rating_stored(
    finished: tuple[Path, dict[str, object]],
) -> None:
    _, document = finished
    shops = document["shops"]
    assert isinstance(shops, list)
    for shop, items in zip(shops, SIZES, strict=True):
        catalog, ratings = shop["catalog"], shop["ratings"]
        assert catalog["rows"] == catalog["imported"] == items
        assert (catalog["rejected"], catalog["without_image"], catalog["bad_pictures"]) == ({}, 0, [])
        assert ratings["rows"] == ratings["stored"] > items
        assert ratings["rejected"] == {}


def test_three_people_get_five_reasoned_recommendations_at_each_shop(
    finished: tuple[Path, dict[str, object]],
) -> None:
    _, document = finished
    people = document["personas"]
    assert isinstance(people, list)
    assert {person["name"] for person in people} == set(SHOWN) <= {persona.name for persona in PERSONAS}
    for person in people:
        for shop in person["shops"]:
            assert len(shop["recommended"]) == 5
            assert all(item["reason"] and item["platform"] == shop["platform"] for item in shop["recommended"])
            assert len(shop["elsewhere"]) == 3
            assert all(item["reason"] and item["platform"] != shop["platform"] for item in shop["elsewhere"])
            rated = [one["rating"] for one in shop["rated_highest"]]
            assert rated == sorted(rated, reverse=True) and 1 <= len(rated) <= 3
            assert not {one["item"] for one in shop["rated_highest"]} & {one["item"] for one in shop["recommended"]}


def test_the_document_is_json_and_the_lines_say_it_all(finished: tuple[Path, dict[str, object]]) -> None:
    folder, document = finished
    report = show_demo(folder, 3, image_size=48, sizes=SIZES)
    assert json.loads(json.dumps(document))["seed"] == 3
    text = "\n".join(report.lines)
    assert all(persona.bio in text for persona in PERSONAS if persona.name in SHOWN)
    assert "two nodes met" in text
    assert {"render", "recommend", "Ostrella: import"} <= report.document["seconds"].keys()


def test_the_nodes_met_over_the_network(finished: tuple[Path, dict[str, object]]) -> None:
    folder, document = finished
    network = document["network"]
    assert isinstance(network, dict)
    assert network["receipt_valid"]
    assert network["items"]
    assert network["bytes"] > 105 * 300
    for shop in ("ostrella", "mayurva"):
        listed = call("catalog", "list", "--home", str(folder / shop / "home")).document["items"]
        assert len(listed) == sum(SIZES)


def test_a_finished_demo_is_reused(finished: tuple[Path, dict[str, object]]) -> None:
    folder, document = finished
    again = show_demo(folder, 3, image_size=48, sizes=SIZES).document
    assert [shop["catalog"]["unchanged"] for shop in again["shops"]] == list(SIZES)
    assert again["personas"] == document["personas"]


def test_an_interrupted_demo_is_completed(finished: tuple[Path, dict[str, object]], tmp_path: Path) -> None:
    folder, document = finished
    broken = tmp_path / "broken"
    claim(broken, json.loads((folder / "demo.json").read_text()))
    # As if it had died after the first shop's node was made and before its catalog was read.
    call("init", "--home", str(broken / "ostrella" / "home"), "--platform", "Ostrella", "--encoder", "tiny")
    completed = show_demo(broken, 3, image_size=48, sizes=SIZES).document
    for person, expected in zip(completed["personas"], document["personas"], strict=True):  # type: ignore[call-overload]
        for shop, same in zip(person["shops"], expected["shops"], strict=True):
            assert [item["item"] for item in shop["recommended"]] == [item["item"] for item in same["recommended"]]


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    assert run(["demo", "--out", str(tmp_path)]) == 2
    assert "holds something else" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_another_seeds_demo_is_refused(tmp_path: Path) -> None:
    claim(tmp_path / "demo", {"p2prec_demo": 1, "seed": 1})
    claim(tmp_path / "demo", {"p2prec_demo": 1, "seed": 1})
    with pytest.raises(UserError, match="another demo"):
        claim(tmp_path / "demo", {"p2prec_demo": 1, "seed": 2})


def test_wrong_options_are_one_sentence() -> None:
    with pytest.raises(UserError, match="--out"):
        run_demo(Namespace(home="here", out=None, seed=0))
    with pytest.raises(UserError, match="--seed"):
        run_demo(Namespace(home=None, out=None, seed=-1))


def test_the_command_line_knows_the_demo() -> None:
    options = build_parser().parse_args(["demo", "--seed", "4"])
    assert (options.function, options.seed, options.out) == ("sim.demo:run_demo", 4, None)


def test_with_a_port_both_shops_have_a_page_until_they_are_stopped(finished: tuple[Path, dict[str, object]]) -> None:
    folder, _ = finished
    found = []

    def look(pages: list[str]) -> None:
        for page in pages:
            client = Client(page)
            found.append((client.get("status")["platform"], client.ask("GET", "/")[0]))
            item = client.get("recommend", user=SHOWN[0])["items"][0]
            reference = urlencode({"item": f"{item['publisher']}/{item['item']}"})
            assert client.ask("GET", f"/api/picture?{reference}")[1]["content-type"].startswith("image/")
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    serve_pages([folder / "ostrella", folder / "mayurva"], 0, look)
    assert found == [("Ostrella", 200), ("Mayurva", 200)]
    assert signal.getsignal(signal.SIGTERM) is before
    for shop in ("ostrella", "mayurva"):
        assert not is_running(load_home(folder / shop / "home"))


@pytest.mark.parametrize("port", ["-1", "65535", "99999"])
def test_a_port_that_can_be_none_is_a_mistake(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--port", port, "--out", "/nowhere/at/all"]) == 2
    assert "--port must be" in capsys.readouterr().err
