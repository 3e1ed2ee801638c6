"""What the API answers, over a real socket to a real node: the command line's documents are the oracle."""

from __future__ import annotations

import base64
import io
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from node import cli
from tests.node.api.client import RefusedError
from tests.node.api.conftest import AFAR, EVIL, ITEMS, NEAR, Shops


def p2prec(shops: Shops, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """What the command line says of the same home."""
    capsys.readouterr()
    assert cli.run([*words, "--home", str(shops.homes["Asolo"].folder), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def rate(shops: Shops, user: str, values: dict[str, float]) -> None:
    for item, value in values.items():
        done = shops.client.post("rate", {"user": user, "item": shops.item("Asolo", item), "value": value})
        assert done == {"user": user, "item": item, "rating": value, "stored": 1}


def test_lists_are_those_of_the_command_line(shops: Shops, capsys: pytest.CaptureFixture[str]) -> None:
    rate(shops, "ada", {"g0": 9, "g4": 8, "g1": 1, "g2": 2})
    item = shops.item("Bella", "g3")
    for name, parameters, words in (
        ("search", {"text": "red dress", "k": 5}, ("search", "red dress", "-k", "5")),
        ("search", {"text": "red", "platform": "Bella"}, ("search", "red", "--platform", "Bella")),
        ("similar", {"item": item, "k": 7}, ("similar", item, "-k", "7")),
        ("recommend", {"user": "ada"}, ("recommend", "ada")),
        ("recommend", {"user": "ada", "model": "ridge", "k": 3}, ("recommend", "ada", "--model", "ridge", "-k", "3")),
        ("recommend", {"user": "nobody", "platform": "Asolo"}, ("recommend", "nobody", "--platform", "Asolo")),
        ("item", {"item": item}, ("catalog", "show", item)),
        ("peers", {}, ("node", "peers")),
    ):
        assert shops.client.get(name, **parameters) == p2prec(shops, capsys, *words), (name, parameters)
    told = shops.client.get("recommend", user="ada")
    assert {one["platform"] for one in told["items"]} == set(ITEMS) and all(one["reason"] for one in told["items"])


def test_status_says_whose_node_it_is(shops: Shops, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = shops.client.get("status"), p2prec(shops, capsys, "node", "status")
    for changing in ("bytes_in", "bytes_out", "frames_in", "frames_out"):
        assert status.pop(changing).keys() == said.pop(changing).keys()
    assert status == said
    assert status["platform"] == "Asolo" and status["running"]


def test_metrics_are_the_status_in_prometheus_own_words(shops: Shops) -> None:
    """The oracle is Prometheus's own parser, and the status."""
    http, headers, body = shops.client.ask("GET", "/api/metrics")
    assert (http, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    found = {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    status = shops.client.get("status")
    for one in status["catalogs"]:
        assert found["p2prec_catalog_items", one["platform"], one["publisher"]] == one["items_known"]
        assert found["p2prec_catalog_whole", one["platform"], one["publisher"]] == 1
    assert found["p2prec_peers_connected",] == 1
    told = {name[1:]: value for name, value in found.items() if name[0] == "p2prec_bytes_total"}
    assert {way for _, way in told} == {"in", "out"}
    assert all(0 < value <= status[f"bytes_{way}"][kind] for (kind, way), value in told.items())
    shops.client.post("rate", {"user": "planted-user", "item": shops.item("Asolo", "g0"), "value": 5})
    assert b"planted-user" not in shops.client.ask("GET", "/api/metrics")[2]


def test_a_rating_changes_the_list_and_can_be_taken_back(shops: Shops) -> None:
    rate(shops, "bob", {"g0": 10, "g1": 0})
    before = shops.client.get("recommend", user="bob", k=50)
    first = before["items"][0]
    reference = f"{first['publisher']}/{first['item']}"
    shops.client.post("rate", {"user": "bob", "item": reference, "value": -1})
    latest = shops.client.get("ratings", user="bob")["ratings"][0]
    assert (latest["item"], latest["publisher"], latest["rating"]) == (first["item"], first["publisher"], -1)
    after = shops.client.get("recommend", user="bob", k=50)
    assert after["ratings"] == before["ratings"] + 1
    assert (first["item"], first["publisher"]) not in {(one["item"], one["publisher"]) for one in after["items"]}
    back = {"user": "bob", "item": reference, "value": None}
    assert shops.client.post("rate", back)["removed"] == 1
    assert shops.client.post("rate", back)["removed"] == 0
    assert shops.client.get("recommend", user="bob", k=50) == before


def test_an_item_is_the_one_of_the_publisher_named(shops: Shops) -> None:
    for platform in ITEMS:
        found = shops.client.get("item", item=shops.item(platform, "g5"))
        assert (found["platform"], found["item"]) == (platform, "g5")
    with pytest.raises(RefusedError, match="several shops have an item 'g5'") as refused:
        shops.client.get("item", item="g5")
    assert refused.value.status == 400


def test_users_are_found_by_the_beginning_of_their_names(shops: Shops) -> None:
    for user in ("zoë", "zack", "zα/β?&=%", "yara"):
        rate(shops, user, {"g0": 5})
    named = lambda **more: [one["user"] for one in shops.client.get("users", **more)["users"]]  # noqa: E731
    assert named(prefix="z") == ["zack", "zoë", "zα/β?&=%"]
    assert named(prefix="zα/β?&=%") == ["zα/β?&=%"]
    assert named(prefix="z", k=2) == ["zack", "zoë"]
    assert {"yara", "zack"} <= set(named()) and named(prefix="%") == []
    assert shops.client.get("ratings", user="zα/β?&=%")["ratings"][0]["item"] == "g0"


def test_a_newcomer_is_nobody_yet(shops: Shops) -> None:
    assert shops.client.get("ratings", user="new") == {"user": "new", "card": None, "ratings": []}
    assert len(shops.client.get("recommend", user="new")["items"]) == 10
    assert "new" not in {one["user"] for one in shops.client.get("users")["users"]}


def test_items_come_in_pages(shops: Shops) -> None:
    total = sum(ITEMS.values())
    pages = [shops.client.get("items", offset=offset, k=10) for offset in range(0, total + 10, 10)]
    assert {page["total"] for page in pages} == {total}
    shown = [(one["publisher"], one["item"]) for page in pages for one in page["items"]]
    assert len(shown) == len(set(shown)) == total
    assert shops.client.get("items", platform="bella")["total"] == ITEMS["Bella"]


def test_a_picture_is_the_items_own(shops: Shops) -> None:
    """The oracle is the average colour: g0 is red, g1 blue; the other shop's of the same names are the opposite."""
    for item, channel in (("g0", 0), ("g1", 2)):
        for platform, extreme in (("Asolo", max), ("Bella", min)):
            status, headers, body = shops.client.ask("GET", picture_path(shops, platform, item))
            assert (status, headers["content-type"]) == (200, "image/jpeg")
            colour = Image.open(io.BytesIO(body)).resize((1, 1)).getpixel((0, 0))
            assert isinstance(colour, tuple) and extreme(colour) == colour[channel]


def test_a_picture_elsewhere_is_asked_for_there_but_not_in_ones_own_network(shops: Shops) -> None:
    status, headers, _ = shops.client.ask("GET", picture_path(shops, "Bella", AFAR.item))
    assert (status, headers["location"]) == (302, AFAR.image_url)
    for item in (NEAR, EVIL):
        status, headers, _ = shops.client.ask("GET", picture_path(shops, "Bella", item.item))
        assert status == 404 and "location" not in headers


def picture_path(shops: Shops, platform: str, item: str) -> str:
    return "/api/picture?" + urlencode({"item": shops.item(platform, item)})


def test_a_peer_answers_and_its_receipt_is_checked(shops: Shops) -> None:
    shops.client.get("search", text="green shirt")
    answer = shops.client.post("query", {"peer": "Bella", "text": "green shirt", "k": 4})
    assert len(answer["items"]) == 4
    receipt = base64.b64decode(answer["receipt"])
    checked = shops.client.read(*shops.client.ask("POST", "/api/verify", receipt))
    assert checked["valid"] and checked["signed_by"] == shops.publisher("Bella")
    assert [one["item"] for one in checked["items"]] == [one["item"] for one in answer["items"]]
    forged = bytearray(receipt)
    forged[-5] ^= 1
    assert not shops.client.read(*shops.client.ask("POST", "/api/verify", bytes(forged)))["valid"]
    by_item = shops.client.post("query", {"peer": "Bella", "item": shops.item("Asolo", "g3"), "k": 2})
    assert len(by_item["items"]) == 2


def test_a_taste_card_goes_out_and_comes_in(shops: Shops) -> None:
    rate(shops, "eve", {f"g{i}": 9.0 if i % 4 == 0 else 1.0 for i in range(12)})
    status, headers, sealed = shops.client.ask("GET", "/api/card?user=eve&days=7")
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    assert "attachment" in headers["content-disposition"]
    path = "/api/card?" + urlencode({"user": "a visitor"})
    brought = shops.client.read(*shops.client.ask("POST", path, sealed))
    assert brought["user"] == "a visitor" and brought["made_by"] == shops.publisher("Asolo")
    told = shops.client.get("recommend", user="a visitor", k=6)
    assert told["model"] == "card"
    assert all(one["name"].startswith("Red") for one in told["items"][:3])
    assert shops.client.get("users", prefix="a visitor") == {"users": [{"user": "a visitor", "ratings": 0}]}
    for bad in (b"", b"no card", sealed[:-1]):
        with pytest.raises(RefusedError, match="no valid taste card"):
            shops.client.read(*shops.client.ask("POST", path, bad))


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("search", 400, r"needs \?text="),
        ("search?text=%20", 400, "needs a text"),
        ("search?text=red&k=0", 400, "must be 1 to"),
        ("search?text=red&k=-1", 400, "whole number"),
        ("search?text=red&k=%C2%B2", 400, "whole number"),
        ("search?text=red&platform=Nope", 404, "no platform 'Nope'"),
        ("similar?item=nope", 404, "no item 'nope'"),
        ("picture?item=nope", 404, "no item 'nope'"),
        ("item", 400, r"needs \?item="),
        ("recommend?user=%00", 400, "can't be a user"),
        ("recommend?user=ada&model=sasrec", 400, "model must be one of"),
        ("ratings?user=" + "x" * 300, 400, "can't be a user"),
        ("card?user=nobody", 400, "needs at least"),
        ("card?user=ada&days=9999", 400, "days must be"),
        ("nothing", 404, "Not Found"),
        ("rate", 405, "Method Not Allowed"),
    ],
)
def test_what_is_wrong_is_one_sentence(shops: Shops, path: str, status: int, said: str) -> None:
    with pytest.raises(RefusedError, match=said) as refused:
        shops.client.read(*shops.client.ask("GET", f"/api/{path}"))
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("name", "body", "status", "said"),
    [
        ("rate", b"{", 400, "no JSON"),
        ("rate", b"[" * 10_000, 400, "no JSON"),
        ("rate", b"[1]", 400, "JSON object"),
        ("rate", b"\xff\xfe", 400, "no JSON"),
        ("rate", b"{}", 400, "needs 'user'"),
        ("rate", b'{"user": "ada", "item": 5}', 400, "needs 'item'"),
        ("rate", b'{"user": "ada", "item": "g0"}', 400, "needs a value"),
        ("rate", b'{"user": "ada", "item": "nope", "value": 5}', 404, "no item 'nope'"),
        ("rate", b'{"user": "ada", "item": "ITEM", "value": NaN}', 400, "not a number from"),
        ("rate", b'{"user": "ada", "item": "ITEM", "value": 11}', 400, "not a number from"),
        ("rate", b'{"user": "ada", "item": "ITEM", "value": true}', 400, "not a number from"),
        ("rate", b'{"user": "ada", "item": "ITEM", "value": "1e400"}', 400, "not a number from"),
        ("rate", b'{"user": "\\ud800", "item": "ITEM", "value": 5}', 400, "'user' is not UTF-8"),
        ("rate", b'{"user": "ada", "item": "\\ud800", "value": 5}', 400, "'item' is not UTF-8"),
        ("rate", b'{"user": "ada", "item": "x/\\ud800", "value": null}', 400, "'item' is not UTF-8"),
        ("rate", b" " * 20_000, 413, "may have"),
        ("query", b'{"peer": "Bella"}', 400, "by text or by item"),
        ("query", b'{"peer": "Bella", "text": "x", "item": "y"}', 400, "by text or by item"),
        ("query", b'{"peer": "Bella", "text": "x", "k": 10000}', 400, "k must be"),
        ("query", b'{"peer": "Bella", "text": "x", "k": 1.5}', 400, "whole number"),
        ("query", b'{"peer": "Nobody", "text": "x"}', 400, "not connected"),
        ("query", b'{"peer": "Bella", "text": "\\ud800"}', 400, "not UTF-8"),
        ("query", b'{"peer": "\\ud800", "text": "x"}', 400, "'peer' is not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_body_is_one_sentence(
    shops: Shops, name: str, body: bytes, status: int, said: str
) -> None:
    body = body.replace(b"ITEM", shops.item("Asolo", "g0").encode())
    before = shops.client.get("ratings", user="ada")
    with pytest.raises(RefusedError, match=said) as refused:
        shops.client.read(*shops.client.ask("POST", f"/api/{name}", body, **{"Content-Type": "application/json"}))
    assert refused.value.status == status
    assert shops.client.get("ratings", user="ada") == before


def test_the_page_is_there_and_nothing_beside_it(shops: Shops) -> None:
    status, headers, body = shops.client.ask("GET", "/")
    assert status == 200 and headers["content-type"].startswith("text/html") and b"page.js" in body
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-cache"
    assert shops.client.ask("GET", "/api/ratings?user=ada")[1]["cache-control"] == "no-store"
    for path in ("/page.js", "/style.css", "/icon.svg"):
        assert shops.client.ask("GET", path)[0] == 200
    for path in ("/../api.py", "/..%2fapi.py", "/%2e%2e/%2e%2e/pyproject.toml", "//etc/passwd", "/key"):
        assert shops.client.ask("GET", path)[0] == 404
