"""The way in: one result for every row, ids, duplicates, notes, options, and files that are no catalog."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from node.errors import UserError
from node.importers import FORMATS, REASONS, Export, Product, Rejection, open_export
from protocol import limits
from protocol.records import check_item, pack_item

FORMATS_PAGE = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text("utf-8")


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "export.data"
    path.write_text(text, "utf-8", errors="surrogatepass")
    return path


def one(tmp_path: Path, header: str, row: str, **options: object) -> Product:
    (product,) = open_export(write(tmp_path, f"{header}\n{row}\n"), **options)  # type: ignore[arg-type]
    assert isinstance(product, Product)
    return product


def outcome(result: Product | Rejection) -> str:
    return result.item.item if isinstance(result, Product) else result.reason


def test_rows_with_one_id(tmp_path: Path) -> None:
    rows = [
        "id,name,colour,price",
        "7,Tee,red,5",
        "7,Tee,red,6",
        "7,Tee,Dark Blue,5",
        "7,Tee,dark blue,5",
        "7,Hat,red,5",
        "7,Hat,,5",
        "7,,red,5",
        "8,,red,5",
        ",Tee,red,5",
        ",Tee,red,5",
        ",,,",
        "id,name,colour,price",
        "9,Scarf,red,5",
    ]
    results = list(open_export(write(tmp_path, "\n".join(rows)), currency="EUR"))
    assert [result.row for result in results] == list(range(1, 14))
    outcomes = [outcome(result) for result in results]
    derived = outcomes.pop(8)
    assert derived.startswith("~") and len(derived) == 17
    assert outcomes == [
        "7", "duplicate", "7-dark-blue", "duplicate", "7-red", "duplicate_id", "duplicate", "no_name", "duplicate",
        "empty_row", "not_a_product", "9",
    ]  # fmt: skip


def test_a_derived_id_depends_on_the_row_alone(tmp_path: Path) -> None:
    header = "name,brand,price,currency"
    alone = one(tmp_path, header, "Tee,Acme,5,EUR")
    among = list(open_export(write(tmp_path, f"{header}\nHat,Acme,5,EUR\nTee,Acme,5,EUR\n")))[1]
    assert isinstance(among, Product) and alone.item.item == among.item.item
    assert "id_derived" in alone.notes


def test_ids_keep_their_zeros_and_lose_what_floats_added(tmp_path: Path) -> None:
    assert one(tmp_path, "sku,name,price", "00071,Tee,5").item.item == "00071"
    assert one(tmp_path, "sku,name,price", "10017413.0,Tee,5").item.item == "10017413"
    long = one(tmp_path, "sku,name,price", f"{'é' * 100},Tee,5")
    assert long.item.item.startswith("~") and long.notes[0] == "id_derived"


def test_what_does_not_fit_is_cut_or_dropped_and_noted(tmp_path: Path) -> None:
    header = "id,name,description,brand,price,currency,image,url"
    address = "https://a.example/" + "x" * 600
    row = f"1,{'name ' * 200},{'word ' * 900},{'b' * 200},n/a,EUR,{address}.jpg|1.jpg,{address}"
    product = one(tmp_path, header, row)
    assert set(product.notes) == {
        "name_cut", "description_cut", "attribute_cut", "price_unknown", "image_dropped", "url_dropped",
    }  # fmt: skip
    assert product.pictures == ("1.jpg",) and product.item.image_url == product.item.page_url == ""
    assert len(product.item.description.encode()) <= limits.DESCRIPTION_BYTES_MAX
    pack_item(product.item)


def test_an_address_that_is_too_long_loses_its_query_first(tmp_path: Path) -> None:
    row = f"1,Tee,5,https://a.example/tee?q={'x' * 600}"
    assert one(tmp_path, "id,name,price,url", row).item.page_url == "https://a.example/tee"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "ftp://a.example/1", "file:///etc/passwd", "http://[", "no"])
def test_an_address_that_is_none_is_dropped(tmp_path: Path, url: str) -> None:
    product = one(tmp_path, "id,name,price,url", f"1,Tee,5,{url}")
    assert product.item.page_url == "" and "url_dropped" in product.notes


def test_pictures_are_names_without_folders_and_addresses(tmp_path: Path) -> None:
    def pictures(cell: str) -> tuple[str, ...]:
        return one(tmp_path, "id|name|image", f"1|Tee|{cell}").pictures

    assert pictures("/content/new/881698002.jpg") == ("881698002.jpg",)
    assert pictures("..\\..\\secret\\a b.jpg") == ("a b.jpg",)
    assert pictures("https://a.example/1.jpg, https://a.example/2.jpg") == (
        "https://a.example/1.jpg",
        "https://a.example/2.jpg",
    )
    assert pictures("\"['1.jpg', '2.jpg']\"") == ("1.jpg", "2.jpg")
    assert pictures("//cdn.example/1.jpg") == ("https://cdn.example/1.jpg",)
    assert pictures("data:image/png;base64,AAAA") == ()
    assert pictures("..") == pictures("NA") == ()


def test_a_table_of_pictures_and_captions_is_a_catalog(tmp_path: Path) -> None:
    product = one(tmp_path, "image_path,description", '/content/881698002.jpg,"Ribbed vest, slim fit. Style it."')
    assert (product.item.item, product.item.name) == ("881698002", "Ribbed vest, slim fit")
    assert product.notes == ("name_from_description",)


def test_only_rows_that_show_it_are_taken_for_slipped(tmp_path: Path) -> None:
    header = "id,name,image,link,price,currency,note"
    rows = [f"{n},Tee {n},https://a.example/{n}.jpg,https://a.example/{n},5,EUR," for n in range(12)]
    rows += [
        "20,Hat,NA,NA,5,EUR,",
        "21,Hat, red,https://a.example/1.jpg,https://a.example/1,5,EUR",
        "22,Cap,1,2,3,4,5,6,7,8",
    ]
    *_, unlinked, slipped, broken = open_export(write(tmp_path, "\n".join([header, *rows])))
    assert isinstance(unlinked, Product) and unlinked.notes == ("url_dropped",)
    assert isinstance(slipped, Product) and slipped.notes == ("row_realigned",)
    assert (slipped.item.name, slipped.item.price_minor) == ("Hat, red", 500)
    assert isinstance(broken, Rejection) and broken.reason == "malformed_row"


def test_json_never_slips(tmp_path: Path) -> None:
    known = [{"id": n, "name": "Tee", "url": f"https://a.example/{n}", "price": 5, "x": ""} for n in range(12)]
    odd = {"id": 20, "name": "https://a.example/hat", "url": "none", "price": 5}
    *_, last = open_export(write(tmp_path, json.dumps([*known, odd])), currency="EUR")
    assert isinstance(last, Product) and last.item.name == "https://a.example/hat" and last.notes == ("url_dropped",)


def test_whose_word_counts_for_the_currency(tmp_path: Path) -> None:
    def currency(header: str, row: str, option: str | None = None) -> str:
        return one(tmp_path, header, row, currency=option).item.currency

    assert currency("id,name,price,currency", "1,Tee,£5,EUR", "USD") == "GBP"
    assert currency("id,name,price,currency", "1,Tee,5,EUR", "USD") == "EUR"
    assert currency("id,name,price (£)", "1,Tee,5", "USD") == "GBP"
    assert currency("id,name,price", "1,Tee,5", "usd") == "USD"
    assert currency("id,name,price,url", "1,Tee,5,https://www.amazon.in/x/dp/B0B6P922CB") == "INR"
    unknown = one(tmp_path, "id,name,price", "1,Tee,5")
    assert unknown.item.price_minor is None and unknown.notes == ("currency_unknown",)


def test_the_sale_price_is_the_price(tmp_path: Path) -> None:
    assert one(tmp_path, "id,name,mrp,sale price", "1,Tee,50,30", currency="EUR").item.price_minor == 3000
    assert one(tmp_path, "id,name,mrp,sale price", "1,Tee,50,", currency="EUR").item.price_minor == 5000


def test_the_owner_maps_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "movieId,title,genres\n1,Toy Story,Comedy\n")
    with pytest.raises(UserError, match="--map"):
        open_export(path)
    (product,) = open_export(path, mapping={"id": "movieId", "name": "title", "category": "GENRES"})
    assert isinstance(product, Product)
    assert (product.item.item, product.item.name, product.item.category) == ("1", "Toy Story", "Comedy")


def test_the_owner_maps_columns_of_a_known_format(tmp_path: Path) -> None:
    header = "Product_ID,Product_Name,Product_Brand,Gender,Price,Description,Primary_Color,Own Category"
    path = write(tmp_path, f"{header}\n1,Tee,Acme,Women,5,Soft,Red,Tees\n")
    export = open_export(path, mapping={"category": "Own Category", "color": "Gender"})
    (product,) = export
    assert isinstance(product, Product) and export.format == "myntra-catalog"
    assert (product.item.category, product.item.colour, product.item.brand) == ("Tees", "Women", "Acme")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "ebay"}, FORMATS),
        ({"format": "amazon"}, ("amazon", "maincategory", "id, name, price")),
        ({"currency": "EURO"}, ("ISO 4217",)),
        ({"mapping": {"size": "name"}}, ("size", "description", "gender")),
        ({"mapping": {"name": "nome"}}, ("nome", "id, name, price")),
    ],
)
def test_wrong_options_are_refused_with_one_sentence(
    tmp_path: Path, options: dict[str, object], words: tuple[str, ...]
) -> None:
    path = write(tmp_path, "id,name,price\n1,Tee,5\n")
    with pytest.raises(UserError) as refused:
        open_export(path, **options)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
    assert all(word in str(refused.value) for word in words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("userId,movieId,rating,timestamp\n1,1,4.0,964982703\n", ("what people did", "rating")),
        ("filename;link\n1.jpg;http://a.example/1.jpg\n", ("not recognised", "filename, link", "--map")),
        (json.dumps({"Alex": [5.0, 0.0], "Morgan": [1.0]}), ("not recognised", "Alex")),
        ("[]", ("no products",)),
        ("[1, 2, 3]", ("no products",)),
        ("just a letter to a friend\nwith two lines\n", ("not recognised",)),
    ],
)
def test_other_files_are_refused_with_the_columns_that_were_found(
    tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(UserError) as refused:
        open_export(write(tmp_path, text))
    assert "\n" not in str(refused.value)
    assert all(word in str(refused.value) for word in words)


def test_an_export_can_be_read_twice(tmp_path: Path) -> None:
    export = open_export(write(tmp_path, "id,name,price\n1,Tee,5\n1,Tee,5\n"))
    assert list(export) == list(export)


# Cells that shops, spreadsheets and enemies write.
_CELLS = st.one_of(
    st.sampled_from(
        ["", "NA", "1", "7", "Tee", "£5", "1,299", "https://a.example/1.jpg", "http://[", "a\nb", '"', "<b>x", "~"]
    ),
    st.text(st.characters(exclude_categories=["Cc"]), max_size=12),
)
_COLUMNS = [
    "id",
    "name",
    "description",
    "price",
    "currency",
    "image",
    "url",
    "colour",
    "gender",
    "category",
    "brand",
    "x",
]


def _check_all(export: Export, rows: int | None = None) -> None:
    results = list(export)
    assert [result.row for result in results] == list(range(1, (len(results) if rows is None else rows) + 1))
    ids = [result.item.item for result in results if isinstance(result, Product)]
    assert len(ids) == len(set(ids))
    for result in results:
        if isinstance(result, Product):
            check_item(result.item)
            assert all(f"`{note}`" in FORMATS_PAGE for note in result.notes)
        else:
            assert result.reason in REASONS and result.detail.isprintable()


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.permutations(_COLUMNS), st.integers(5, 12), st.lists(st.lists(_CELLS, min_size=12, max_size=14), max_size=8))
def test_any_table_gives_one_result_for_each_row(
    tmp_path: Path, columns: list[str], width: int, table: list[list[str]]
) -> None:
    header = ["name", "price", *(column for column in columns[:width] if column not in ("name", "price"))]
    text = io.StringIO()
    csv.writer(text).writerows([header, *table])
    _check_all(open_export(write(tmp_path, text.getvalue())), len(table))


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(_COLUMNS), inner, max_size=4)),
    max_leaves=8,
)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(_COLUMNS), _JSON, max_size=8), max_size=6), st.booleans())
def test_any_json_gives_one_result_for_each_product(tmp_path: Path, products: list[object], in_lines: bool) -> None:
    known: list[object] = [{"name": "Tee", "price": "£5"}, *products]
    text = "\n".join(map(json.dumps, known)) if in_lines else json.dumps(known)
    _check_all(open_export(write(tmp_path, text)), len(known))


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(max_size=200), st.sampled_from([b"", b"id,name,price\n", b'[{"name": "Tee", "price": 5}, ', b'{"name":'])
)
@example(b"\xdc\x8f", b"")
def test_any_bytes_are_imported_or_refused(tmp_path: Path, content: bytes, start: bytes) -> None:
    path = tmp_path / "export"
    path.write_bytes(start + content)
    try:
        export = open_export(path)
    except UserError as error:
        assert str(error).isprintable()
        return
    _check_all(export)


@pytest.mark.parametrize(
    ("header", "rows", "kept"),
    [
        ("name,price,image,brand", ["Dress,10,a.jpg,Acme", "Dress,12,b.jpg,Acme", "Dress,12,b.jpg,Acme"], "110"),
        ("name,price,image", ["Dress,10,https://a.example/v1/a.jpg", "Dress,9,https://b.example/a.jpg?w=2"], "10"),
        ("name,price,brand", ["Dress,10,Acme", "Dress,12,Acme", "Dress,10,Acme"], "110"),
        ("name,image,url", ["Tee,a.jpg,https://a.example/tee", "Tee,b.jpg,https://a.example/tee"] * 2, "1100"),
        ("id,name,price,image", ["7,Dress,10,a.jpg", "7,Dress,12,b.jpg"], "10"),
    ],
)
def test_rows_without_ids_are_told_apart_by_picture_or_price(
    tmp_path: Path, header: str, rows: list[str], kept: str
) -> None:
    results = list(open_export(write(tmp_path, "\n".join([header, *rows]))))
    assert "".join("1" if isinstance(result, Product) else "0" for result in results) == kept
    ids = [result.item.item for result in results if isinstance(result, Product)]
    assert len(set(ids)) == len(ids)
    assert {result.reason for result in results if isinstance(result, Rejection)} <= {"duplicate"}
