"""Every command through the front door: documents by the contract, mistakes as one line and exit code 2."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import open_clip
import pytest
import torch

from node import cli
from node.ranking import RESULTS_MAX
from protocol.card import Card, seal_card
from protocol.identity import Identity
from tests.node.conftest import COLOURS, Command, write_catalog, write_pictures

RESULT_KEYS = {"item", "platform", "publisher", "name", "price", "currency", "score"}


@pytest.fixture
def filled(shop: Command, tmp_path: Path) -> Command:
    """40 garments, text only."""
    shop("catalog", "import", str(write_catalog(tmp_path / "shop.csv", 40)))
    return shop


def test_init_makes_a_home_with_a_private_key(p2prec: Command, tmp_path: Path) -> None:
    document = p2prec("init", "--platform", "  Asolo   Shop ")
    home = Path(document["home"])
    assert {"peer_id", "platform", "encoder", "home"} <= document.keys()
    assert (document["platform"], document["encoder"]) == ("Asolo Shop", "tiny")
    assert home == tmp_path / "home"
    assert stat.S_IMODE((home / "key").stat().st_mode) == 0o600
    assert document["peer_id"] == Identity((home / "key").read_bytes()).peer_id
    code, sentence = p2prec("init", "--platform", "Asolo")
    assert code == 2
    assert "already holds a node" in sentence


def test_search_finds_what_the_words_say(filled: Command) -> None:
    document = filled("search", "red dress", "-k", "5")
    assert set(document) == {"query", "items"}
    assert all(set(one) == RESULT_KEYS for one in document["items"])
    assert document["items"][0]["name"].startswith("Red dress")
    scores = [one["score"] for one in document["items"]]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 5


def test_similar_leaves_the_item_itself_out(filled: Command) -> None:
    items = filled("similar", "g0", "-k", "39")["items"]
    assert len(items) == 39
    assert "g0" not in {one["item"] for one in items}
    assert items[0]["name"].startswith("Red dress")


def test_what_looks_otherwise_is_explained_by_who_likes_both(filled: Command) -> None:
    """A model of ratings alone brings what the user's liked thing does not resemble: that is no reason to name it."""
    *_, other, unlike = [one["item"] for one in filled("similar", "g0", "-k", "39")["items"]]
    for user in ("ada", "bo", "cy"):
        for item, value in (("g0", "9"), (unlike, "9"), (other, "1")):
            filled("rate", user, item, value)
    for item, value in (("g0", "9"), (other, "0")):
        filled("rate", "di", item, value)
    first = filled("recommend", "di", "--model", "item_factors")["items"][0]
    assert first["item"] == unlike
    assert first["reason"].startswith("liked by who likes ") and first["reason"].endswith("(you rated it 9)")


def test_recommendations_have_reasons_and_rated_items_never_come_back(filled: Command) -> None:
    newcomer = filled("recommend", "ada")
    assert (newcomer["model"], newcomer["user"], newcomer["ratings"]) == ("popularity", "ada", 0)
    assert len({one["name"].split()[0] for one in newcomer["items"]}) == len(COLOURS), "a varied first list"
    assert all("not rated anything yet" in one["reason"] for one in newcomer["items"])
    # Reds are g0, g4, g8, ...
    for item, value in (("g0", "10"), ("g8", "9"), ("g1", "-1"), ("g2", "0")):
        assert filled("rate", "ada", item, value)["stored"] == 1
    document = filled("recommend", "ada", "-k", "36")
    assert document["model"] == "content"
    assert all(set(one) == RESULT_KEYS | {"reason"} for one in document["items"])
    names = [one["name"] for one in document["items"]]
    assert {"g0", "g8", "g1", "g2"}.isdisjoint({one["item"] for one in document["items"]})
    assert len(names) == 36
    assert sum(name.startswith("Red") for name in names[:6]) >= 5
    assert document["items"][0]["reason"].startswith("like Red ")
    popular = filled("recommend", "ada", "--model", "popularity")
    assert popular["model"] == "popularity"
    assert all("you rated it" in one["reason"] for one in popular["items"])
    assert filled("recommend", "bob")["items"][0]["item"] == "g0", "what ada likes is popular for a newcomer"


def test_a_rating_survives_its_item_and_counts_again_when_it_returns(filled: Command, tmp_path: Path) -> None:
    filled("rate", "ada", "g0", "10")
    filled("catalog", "remove", "g0")
    assert filled("recommend", "ada")["ratings"] == 0
    filled("catalog", "import", str(tmp_path / "shop.csv"))
    assert filled("recommend", "ada")["ratings"] == 1
    assert "g0" not in {one["item"] for one in filled("recommend", "ada", "-k", "40")["items"]}


def test_a_file_of_ratings_is_counted_row_by_row(filled: Command, tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text(
        "\ufeffUser,Item,Rating,Timestamp\nada,g0,9,1700000000\nada,g0,3,1600000000\nbob,g1,-1,\n"
        "bob,nope,5,\n,g1,5,\nada,g2,11,\nada,g3,nan,\nada,g4,7,yesterday\neve,g5,7,2024-05-01T10:00:00Z\nada\n",
        "utf-8",
    )
    assert filled("rate", "--file", str(path)) == {
        "rows": 10,
        "stored": 4,
        "rejected": {"bad rating": 2, "bad timestamp": 1, "bad user": 1, "unknown item": 2},
    }
    assert filled("recommend", "ada")["ratings"] == 1
    path.write_text("user;item;rating\nada;g7;3\n")
    assert filled("rate", "--file", str(path))["stored"] == 1
    path.write_text("userId,movieId,rating\n1,2,3\n")
    code, sentence = filled("rate", "--file", str(path))
    assert code == 2
    assert "columns user,item,rating" in sentence


def test_the_same_id_at_two_shops_must_be_named_in_full(filled: Command) -> None:
    assert filled("catalog", "show", "Asolo/g0")["item"] == "g0"
    peer_id = filled("catalog", "show", "g0")["publisher"]
    assert filled("catalog", "show", f"{peer_id}/g0")["item"] == "g0"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["catalog", "import", "/nowhere.csv"], "nowhere.csv"),
        (["catalog", "import", "{csv}", "--images", "/nowhere"], "is not a folder"),
        (["catalog", "import", "{csv}", "--map", "name"], "must be field=column"),
        (["catalog", "import", "{csv}", "--map", "name=Titel"], "Titel"),
        (["catalog", "import", "{csv}", "--format", "etsy"], "etsy"),
        (["catalog", "import", "{csv}", "--currency", "pounds"], "pounds"),
        (["catalog", "show", "nope"], "no item 'nope'"),
        (["catalog", "remove"], "name the items"),
        (["catalog", "list", "--publisher", "nobody"], "no publisher 'nobody'"),
        (["search", "  "], "needs a text"),
        (["search", "x", "-k", "0"], "-k must be"),
        (["search", "x", "-k", str(RESULTS_MAX + 1)], "-k must be"),
        (["search", "x", "-k", "ten"], "invalid int"),
        (["search", "x", "--platform", "Mynt"], "no platform 'Mynt' is known here; there are: Asolo"),
        (["similar", "nope"], "no item"),
        (["recommend", "ada", "--model", "oracle"], "there are: als"),
        (["rate", "ada", "g0", "11"], "not a number from -1 to 10"),
        (["rate", "ada", "g0", "nan"], "not a number"),
        (["rate", "ada", "g0"], "USER ITEM VALUE"),
        (["rate"], "either USER ITEM VALUE or --file"),
        (["rate", "a" * 200, "g0", "5"], "can't be a user"),
        (["rate", "", "g0", "5"], "can't be a user"),
        (["search", "\udcff\udcfe"], "is not UTF-8"),
        (["catalog", "show", "\udcff"], "is not UTF-8"),
        (["frobnicate"], "invalid choice"),
        ([], "required: COMMAND"),
    ],
)
def test_mistakes_are_one_line_that_helps(filled: Command, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    code, error = filled(*(one.format(csv=tmp_path / "shop.csv") for one in arguments))
    assert code == 2
    assert sentence in error
    assert error.count("\n") == 1
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "arguments", [["search", "x"], ["catalog", "list"], ["recommend", "ada"], ["rate", "a", "b", "1"]]
)
def test_without_a_home_the_way_to_one_is_said(p2prec: Command, arguments: list[str]) -> None:
    code, error = p2prec(*arguments)
    assert code == 2
    assert "p2prec init --platform NAME" in error


def test_a_damaged_home_is_named(shop: Command, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "key").write_bytes(b"short")
    assert "restore it from your backup" in shop("catalog", "list")[1]
    (home / "key").unlink()
    assert "key" in shop("catalog", "list")[1]
    (home / "config.json").write_text("{")
    assert "is damaged" in shop("catalog", "list")[1]


def test_damage_in_the_store_is_named_and_an_import_mends_it(filled: Command, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "home" / "node.sqlite")
    for damage, seen_by in (
        ("UPDATE vector SET packed = zeroblob(1024) WHERE slot = 3", (["search", "x"], ["recommend", "ada"])),
        ("UPDATE item SET packed = x'c1' WHERE slot = 4", (["search", "x"], ["catalog", "list"])),
    ):
        with connection:
            connection.execute(damage)
        for arguments in seen_by:
            code, sentence = filled(*arguments)
            assert code == 2
            assert "damaged" in sentence
            assert "import the catalog again" in sentence
        assert cli.run(["doctor", "--json"]) == 1
        assert filled("catalog", "import", str(tmp_path / "shop.csv"))["replaced"] == 1
        assert len(filled("search", "x", "-k", "40")["items"]) == 40
    connection.close()


def test_a_half_made_home_is_finished_by_the_next_init(p2prec: Command, tmp_path: Path) -> None:
    """What a full disk leaves: an empty key, no configuration."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "key").write_bytes(b"")
    assert p2prec("init", "--platform", "Asolo")["platform"] == "Asolo"
    assert len((home / "key").read_bytes()) == 32
    assert sorted(path.name for path in home.iterdir()) == ["config.json", "key"]


def test_an_answer_that_can_not_be_written_is_one_line(filled: Command, tmp_path: Path) -> None:
    program = "import sys; from node import cli; sys.exit(cli.run(['catalog', 'list']))"
    environment = {**os.environ, "P2PREC_HOME": str(tmp_path / "home")}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, env=environment)
    assert done.returncode == 2
    assert done.stderr.decode().count("\n") == 1
    assert "can't be written" in done.stderr.decode()


def test_one_rating_is_enough_to_be_understood(filled: Command) -> None:
    """A newcomer's very first opinion, with nobody else here."""
    filled("rate", "ada", "g0", "9")
    best = filled("recommend", "ada")["items"][0]
    assert best["score"] > 0
    assert best["name"].startswith("Red dress")
    assert best["reason"] == "like Red dress no 0 (you rated it 9)"
    filled("rate", "bob", "g1", "0")
    assert not filled("recommend", "bob")["items"][0]["reason"].startswith("like ")


def test_an_encoder_that_is_no_longer_the_same_is_refused(filled: Command, tmp_path: Path) -> None:
    path = tmp_path / "home" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "fingerprint": "00" * 32}))
    for arguments in (["catalog", "import", str(tmp_path / "shop.csv")], ["search", "x"]):
        code, error = filled(*arguments)
        assert code == 2
        assert "can't be mixed" in error


def test_doctor_tells_well_from_ill(filled: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert filled("doctor")["ok"] is True
    (tmp_path / "home" / "key").chmod(0o644)
    assert cli.run(["doctor", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [one["what"] for one in document["findings"] if not one["ok"]] == ["key"]


def test_an_empty_catalog_answers(shop: Command) -> None:
    assert shop("search", "red dress")["items"] == []
    assert shop("recommend", "ada")["items"] == []


def test_a_home_from_the_variable_and_from_the_option(p2prec: Command, tmp_path: Path) -> None:
    p2prec("init", "--platform", "A", "--home", str(tmp_path / "a"))
    assert p2prec("catalog", "list", "--home", str(tmp_path / "a")) == {"items": []}
    assert p2prec("catalog", "list")[0] == 2


def test_output_cut_short_by_its_reader_is_no_error(filled: Command, tmp_path: Path) -> None:
    program = "import sys; from node import cli; sys.exit(cli.run(['catalog', 'list'] ))"
    environment = {**os.environ, "P2PREC_HOME": str(tmp_path / "home")}
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0


def test_progress_bars_and_json_do_not_mix(shop: Command, tmp_path: Path) -> None:
    """Not a terminal: stderr stays empty, stdout is one JSON document."""
    arguments = ["catalog", "import", str(write_catalog(tmp_path / "s.csv", 5)), "--json"]
    program = "import sys; from node import cli; sys.exit(cli.run(sys.argv[1:]))"
    environment = {**os.environ, "P2PREC_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, env=environment, check=True)
    assert done.stderr == b""
    assert json.loads(done.stdout)["imported"] == 5


@pytest.mark.slow
def test_a_home_with_a_checkpoint_file_works_from_every_folder(
    p2prec: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full-size ViT-B-32, randomly initialised: the very path that a real one takes."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        state = open_clip.create_model("ViT-B-32").state_dict()
    torch.save(state, tmp_path / "vit.pt")
    monkeypatch.chdir(tmp_path)
    assert p2prec("init", "--platform", "Asolo", "--encoder", "ViT-B-32@vit.pt")["encoder"].endswith("/vit.pt")
    monkeypatch.chdir("/")
    pictures = str(write_pictures(tmp_path / "pictures", 4))
    report = p2prec("catalog", "import", str(write_catalog(tmp_path / "shop.csv", 4)), "--images", pictures)
    assert (report["imported"], report["without_image"]) == (4, 0)
    assert len(p2prec("similar", "g0")["items"]) == 3
    (tmp_path / "vit.pt").unlink()
    assert "does not exist" in p2prec("search", "x")[1]


def test_a_card_is_taken_along_and_what_is_none_is_refused(filled: Command, tmp_path: Path) -> None:
    for item, value in (("g0", "10"), ("g4", "9"), ("g8", "9"), ("g1", "0"), ("g2", "1"), ("g5", "0")):
        filled("rate", "ada", item, value)
    path = tmp_path / "ada.card"
    filled("card", "export", "ada", "--out", str(path))
    made = json.loads((tmp_path / "home" / "config.json").read_text())
    visitor = filled("card", "import", str(path), "--user", "visitor")["user"]
    document = filled("recommend", visitor, "-k", "5")
    assert document["model"] == "card"
    assert all(one["name"].startswith("Red ") for one in document["items"])
    # As an older version wrote it, and one that says it is of this encoder while its vector is of another size.
    now = time.time_ns() // 1_000_000
    other = Card(bytes.fromhex(made["fingerprint"]), b"\x01" * 8, b"\1" * 8, b"n" * 16, now, now + 10**6, "yes", 0.0)
    sealed = seal_card(Identity(b"s" * 32), other)
    path.write_bytes(sealed)
    code, sentence = filled("card", "import", str(path))
    assert code == 2
    assert "vector" in sentence
    with sqlite3.connect(tmp_path / "home" / "node.sqlite") as connection:
        connection.execute("UPDATE card SET sealed = ?", (sealed[:-1],))
    document = filled("recommend", visitor)
    assert document["model"] == "popularity"
    assert "its owner can export a new one" in document["note"]
