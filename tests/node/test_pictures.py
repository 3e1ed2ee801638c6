"""Pictures: found by name in a folder, never outside it; fetched from a real server, within limits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from node import pictures
from node.errors import UserError
from node.pictures import PictureCache, PictureFolder, is_public, read_url

PNG = b"\x89PNG pretend"


@pytest.fixture
def folder(tmp_path: Path) -> PictureFolder:
    (tmp_path / "shop" / "deep").mkdir(parents=True)
    for name in ("10017413.JPG", "deep/shirt 1.png", "notes.txt"):
        (tmp_path / "shop" / name).write_bytes(PNG)
    (tmp_path / "secret.jpg").write_bytes(PNG)
    return PictureFolder(tmp_path / "shop")


@pytest.mark.parametrize(
    ("stated", "item", "found"),
    [
        ((), "10017413", "10017413.JPG"),
        (("images/10017413.jpg",), "x", "10017413.JPG"),
        (("C:\\shop\\10017413.jpg",), "x", "10017413.JPG"),
        (("https://cdn.example/a/shirt%201.png?w=300",), "x", "shirt 1.png"),
        (("gone.jpg", "shirt 1"), "x", "shirt 1.png"),
        ((), "other", None),
        (("../secret.jpg",), "x", None),
        (("/etc/passwd",), "x", None),
        (("notes.txt",), "x", None),
    ],
)
def test_finding(folder: PictureFolder, stated: tuple[str, ...], item: str, found: str | None) -> None:
    path = folder.find(stated, item)
    assert (path.name if path else None) == found


def test_a_folder_that_is_none_or_has_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        PictureFolder(tmp_path / "gone")
    with pytest.raises(UserError, match="holds no picture"):
        PictureFolder(tmp_path)


class Shop(BaseHTTPRequestHandler):
    """A small web shop with good and bad pictures."""

    asked: list[str] = []

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        if self.path == "/gone.jpg":
            self.send_error(404)
            return
        if self.path == "/away.jpg":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path == "/page.jpg" else "image/png")
        self.end_headers()
        self.wfile.write(PNG * (100 if self.path == "/big.jpg" else 1))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Shop.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_fetching_keeps_what_is_a_picture_and_asks_once(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "PICTURE_BYTES_MAX", 500)
    cache = PictureCache(tmp_path / "pictures")
    names = ["good.jpg", "gone.jpg", "page.jpg", "big.jpg", "away.jpg"]
    urls = [f"{server}/{name}" for name in names]
    others = ["ftp://example/x.jpg", "file:///etc/passwd", "http://[bad", "http://127.0.0.1:1/x.jpg"]
    sentences = cache.fetch([*([url] for url in [*urls, *others]), []])
    assert len(sentences) == 8
    assert all("can't be fetched" in sentence and "\n" not in sentence for sentence in sentences)
    kept = cache.find(urls[0])
    assert kept is not None
    assert kept.read_bytes() == PNG
    assert [cache.find(url) for url in urls[1:]] == [None] * 4
    assert len(list((tmp_path / "pictures").iterdir())) == 1
    assert cache.fetch([urls[:1]]) == []
    assert Shop.asked.count("/good.jpg") == 1
    # The first address of an item may be dead while the second is not; one that is here spares them all.
    fresh = PictureCache(tmp_path / "fresh")
    assert fresh.fetch([[urls[1], urls[0], urls[2]], [urls[2], urls[1]]]) == [
        f"{urls[1]} can't be fetched (HTTP Error 404: Not Found)"
    ]
    assert fresh.find(urls[0]) is not None


def test_a_cache_that_can_not_be_written_is_the_owners_matter(server: str, tmp_path: Path) -> None:
    cache = PictureCache(tmp_path / "pictures")
    (tmp_path / "pictures").rmdir()
    with pytest.raises(UserError, match="can't keep pictures"):
        cache.fetch([[f"{server}/good.jpg"]])


def test_why_a_picture_is_not_taken(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_url(f"{server}/good.jpg") == PNG
    with pytest.raises(ValueError, match="text/html is not a picture"):
        read_url(f"{server}/page.jpg")
    monkeypatch.setattr(pictures, "PICTURE_BYTES_MAX", 500)
    with pytest.raises(ValueError, match="over 500 bytes"):
        read_url(f"{server}/big.jpg")
    monkeypatch.setattr(pictures, "FETCH_S_MAX", -1)
    with pytest.raises(ValueError, match="took over"):
        read_url(f"{server}/good.jpg")


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://shop.example/a.jpg", True),
        ("HTTP://Shop.Example:8080/a.jpg?x=1", True),
        ("https://shop.example./a.jpg", True),
        ("https://xn--mnchen-3ya.example/a.jpg", True),
        ("https://93.184.216.34/a.jpg", False),
        ("https://[2606:2800:220:1::1]/a.jpg", False),
        ("http://127.0.0.%31/reboot", False),
        ("http://x.local%68ost/", False),
        ("http://x.\u24dbocalhost/", False),
        ("http://127\u30020\u30020\u30021/", False),
        ("http://shop.example\\@127.0.0.1/", False),
        ("http://192.168.1.1/reboot", False),
        ("http://127.0.0.1:8080/", False),
        ("http://[::1]/", False),
        ("http://169.254.169.254/latest/meta-data", False),
        ("http://2130706433/", False),
        ("http://0x7f.1/", False),
        ("http://127.1/", False),
        ("http://localhost/", False),
        ("http://shop.localhost/", False),
        ("http://router/", False),
        ("http://printer.local/", False),
        ("https://user:word@shop.example/a.jpg", False),
        ("https://user@shop.example/a.jpg", False),
        ("javascript:alert(1)", False),
        ("data:image/png;base64,AAAA", False),
        ("//shop.example/a.jpg", False),
        ("images/a.jpg", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_an_address_on_the_web(url: str, public: bool) -> None:
    assert is_public(url) is public
