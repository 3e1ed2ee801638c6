"""Files to rows: encodings, delimiters, quotes, documents, and what is refused with one sentence."""

from __future__ import annotations

import builtins
import json
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.errors import UserError
from node.rows import Row
from node.tables import open_table


def rows_of(path: Path) -> list[Row]:
    return list(open_table(path).rows())


def cells_of(tmp_path: Path, content: bytes | str) -> list[dict[str, str]]:
    path = tmp_path / "export"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [dict(row.cells) for row in rows_of(path)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends(tmp_path: Path, delimiter: str, ending: str) -> None:
    lines = ["id,name,price,", '1,"Linen, soft shirt",5,', "", "2,Belt,7,", ""]
    text = ending.join(lines).replace(",", delimiter).replace(f"Linen{delimiter}", f"Linen{delimiter}")
    cells = cells_of(tmp_path, text)
    assert [row["id"] for row in cells] == ["1", "2"]
    assert cells[0]["name"] == f"Linen{delimiter} soft shirt"
    assert cells[0]["#4"] == ""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-32"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    assert cells_of(tmp_path, "id,name\n1,Crème brûlée à 5 €\n".encode(encoding)) == [
        {"id": "1", "name": "Crème brûlée à 5 €"}
    ]


def test_one_windows_byte_does_not_spoil_utf_8(tmp_path: Path) -> None:
    cells = cells_of(tmp_path, "id,name\n1,Café\n".encode() + b"2,Caf\xe9\n3,\x81\n")
    assert [row["name"] for row in cells] == ["Café", "Café", "\ufffd"]


def test_an_excel_separator_line_and_blank_lines_come_before_the_header(tmp_path: Path) -> None:
    assert cells_of(tmp_path, "sep=;\r\n\r\nid;name\r\n1;Belt, brown\r\n") == [{"id": "1", "name": "Belt, brown"}]


def test_a_header_may_hold_a_line_break(tmp_path: Path) -> None:
    assert cells_of(tmp_path, 'id,"product\nname"\n1,Belt\n') == [{"id": "1", "product\nname": "Belt"}]


def test_empty_and_repeated_column_names_are_told_apart(tmp_path: Path) -> None:
    assert cells_of(tmp_path, ",name,name,\n0,a,b,c\n") == [{"#1": "0", "name": "a", "name#3": "b", "#4": "c"}]


def test_short_and_long_rows(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("id,name\n1\n2,Belt,,\n3,Belt,brown\n,\n")
    assert rows_of(path) == [
        Row(1, {"id": "1"}),
        Row(2, {"id": "2", "name": "Belt"}),
        Row(3, {"id": "3", "name": "Belt"}, ("brown",)),
        Row(4, {"id": "", "name": ""}),
    ]


def test_a_cell_of_several_lines(tmp_path: Path) -> None:
    assert cells_of(tmp_path, 'id,text\n1,"one\n\ntwo, ""three"""\n2,x\n')[0]["text"] == 'one\n\ntwo, "three"'


def test_a_quote_that_never_closes_costs_one_row(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    good = "".join(f"{n},Belt,5\n" for n in range(2, 1200))
    path.write_text('id,name,price\n1,"Belt,5\n' + good)
    rows = rows_of(path)
    assert [row.number for row in rows] == list(range(1, 1200))
    assert rows[0].fault and not any(row.fault for row in rows[1:])


def test_a_quote_that_closes_rows_later_costs_few_rows(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text('id,name,price\n1,"Belt,5\n2,Shirt,6\n3,Hat 5",7\n4,Scarf,8\n')
    rows = rows_of(path)
    assert rows[0].fault
    assert [row.cells.get("id") for row in rows[1:]] == ["2", "3", "4"]


def test_a_description_of_several_lines_may_look_like_a_row(tmp_path: Path) -> None:
    cells = cells_of(tmp_path, 'id,name,text,price\n1,Belt,"soft\nred, blue, green",5\n2,Hat,x,6\n')
    assert [row["price"] for row in cells] == ["5", "6"]


def test_a_huge_cell_is_a_faulty_row_and_reading_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("id,name\n1," + "x" * (3 << 20) + "\n2,Belt\n3," + "y" * (9 << 20) + "\n4,Hat\n")
    rows = rows_of(path)
    assert [bool(row.fault) for row in rows] == [True, False, True, False]
    assert rows[3].cells["name"] == "Hat"


def test_json_fields_become_columns(tmp_path: Path) -> None:
    product = {
        "id": 7,
        "price": {"current": 12.50, "previous": None},
        "images": ["a.jpg", "b.jpg"],
        "sizes": [{"size": "S", "stock": 3}, {"size": "M"}],
        "more": '{"colour": "Red", "big": 123456789012345678901234567890}',
        "ok": True,
    }
    assert cells_of(tmp_path, json.dumps([product])) == [
        {
            "id": "7",
            "price.current": "12.5",
            "images": "a.jpg\nb.jpg",
            "sizes.size": "S\nM",
            "sizes.stock": "3",
            "more.colour": "Red",
            "more.big": "123456789012345678901234567890",
            "ok": "True",
        }
    ]


def test_json_numbers_keep_their_digits_and_their_point(tmp_path: Path) -> None:
    text = '[{"a": 1.299, "b": 19.90, "c": NaN, "d": 0012345e0}]'.replace("0012345e0", "12345")
    assert cells_of(tmp_path, text) == [{"a": "1.2990", "b": "19.90", "c": "", "d": "12345"}]


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": 1}, {"id": 2}]',
        '{"id": 1}\n\n{"id": 2}\n',
        '\ufeff{"id": 1}\r\n{"id": 2}',
        '{\n "id": 1\n}\n{\n "id": 2\n}',
        '{"products": [{"id": 1}, {"id": 2}], "total": 2}',
        '{"data": {"products": [{"id": 1}, {"id": 2}]}}',
        '[{"meta": {}, "data": {"id": 1}}, {"meta": {}, "data": "{\\"id\\": 2}"}]',
    ],
)
def test_the_products_in_a_document_are_found(tmp_path: Path, text: str) -> None:
    assert [cells["id"] for cells in cells_of(tmp_path, text)] == ["1", "2"]


def test_a_broken_line_of_json_lines_is_one_faulty_row(tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    path.write_text('{"id": 1}\n{"id": 2,\n[1, 2]\n{"id": 3}\n')
    assert [(row.number, bool(row.fault)) for row in rows_of(path)] == [(1, False), (2, True), (3, True), (4, False)]


@pytest.mark.parametrize("cut", [1, 5, 9, 17, 23, 33])
def test_json_that_is_cut_off_says_where(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "export.json"
    path.write_text('[\n {"id": "1"},\n {"id": "22", "x": 3}\n]'[:cut])
    with pytest.raises(UserError, match=r"(cut off|not valid JSON) at line \d+, byte \d+"):
        open_table(path)


def test_deeply_nested_json_is_refused_and_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text('[{"a":' * 50_000)
    with pytest.raises(UserError, match=r"not valid JSON|cut off"):
        open_table(path)


def test_a_folder_of_json_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 2):
        (tmp_path / f"{number}.json").write_text(json.dumps({"id": number}))
    (tmp_path / "11.json").write_text('{"id": ')
    (tmp_path / "note.txt").write_text("not read")
    rows = rows_of(tmp_path)
    assert [row.cells.get("id") for row in rows] == ["2", "9", "10", None]
    assert "11.json" in rows[-1].fault


def test_parquet_is_read_in_batches(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "export.parquet"
    names = [f"Belt {n}" for n in range(600)]
    columns = {
        "id": list(range(600)),
        "name": names,
        "price": [1.299] * 600,
        "image": [{"bytes": b"x", "path": "a.jpg"}] * 600,
    }
    parquet.write_table(arrow.table(columns), path)
    rows = rows_of(path)
    assert len(rows) == 600
    assert rows[599] == Row(600, {"id": "599", "name": "Belt 599", "price": "1.2990", "image.path": "a.jpg"})
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(UserError, match="damaged"):
        open_table(path)


def test_parquet_without_pyarrow_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "export.parquet"
    path.write_bytes(b"PAR1....PAR1")
    known = builtins.__import__

    def without_pyarrow(name: str, *rest: object, **named: object) -> object:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return known(name, *rest, **named)  # type: ignore[arg-type]

    for name in [name for name in sys.modules if name.startswith("pyarrow")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    with pytest.raises(UserError, match=r'pip install "p2prec\[parquet\]"'):
        open_table(path)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"\x93NUMPY\x01\x00v\x00{'descr'", "NumPy"),
        (b"\x89PNG\r\n\x1a\n", "picture"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "picture"),
        (b"PK\x03\x04\x14\x00", "archive"),
        (b"\x1f\x8b\x08\x00", "unpack"),
        (b"SQLite format 3\x00", "database"),
        (bytes(range(256)) * 4, "not text"),
        (b"[", "cut off"),
        (b"{", "cut off"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=word):
        open_table(path)


def test_missing_files_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file"):
        open_table(tmp_path / "missing.csv")
    with pytest.raises(UserError, match="folder without product JSON"):
        open_table(tmp_path)
    (tmp_path / "items.csv").write_text("id,name\n")
    with pytest.raises(UserError, match=r"items\.csv"):
        open_table(tmp_path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(alphabet='ab,;"\n\r\t[]{}: 1', max_size=120).map(str.encode)))
def test_any_bytes_are_numbered_rows_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "export"
    path.write_bytes(content)
    try:
        rows = rows_of(path)
    except UserError as error:
        assert "\n" not in str(error)
        return
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    assert rows_of(path) == rows
