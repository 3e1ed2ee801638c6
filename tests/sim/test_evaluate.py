"""`p2prec sim evaluate` on files as people have them: separators, scales, ids, columns, gaps, and mistakes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from node.cli import run
from node.errors import UserError
from sim.ratings_file import read_ratings

QUICK = ["--model", "most_liked", "--model", "user_mean"]


def table(seed: int = 0, n_users: int = 30, n_items: int = 25) -> list[tuple[str, str, int, int]]:
    """user, item, rating 1..5, time. Item 0 is loved by all who rate it, which most_liked must find."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(n_users):
        for item in rng.choice(n_items, 9, replace=False).tolist():
            value = 5 if item < 3 else int(rng.integers(1, 5))
            rows.append((f"u{user}", f"i{item}", value, 1_600_000_000 + int(rng.integers(0, 10**6))))
    return rows


def written(
    folder: Path, rows: list[tuple[Any, ...]], separator: str = ",", header: str = "user,item,rating,timestamp"
) -> Path:
    path = folder / "ratings.csv"
    lines = [header.replace(",", separator)] if header else []
    lines += [separator.join(map(str, row)) for row in rows]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def evaluated(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    code = run(["sim", "evaluate", "--json", *map(str, words)])
    out, err = capsys.readouterr()
    assert code == 0, err
    document: dict[str, Any] = json.loads(out)
    return document


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    code = run(["sim", "evaluate", "--json", *map(str, words)])
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1), err
    return err


def test_the_document_has_what_was_promised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = evaluated(capsys, "--ratings", written(tmp_path, table()), *QUICK, "-k", "3")
    names = {"model", "rmse", "mae", "precision", "recall", "ndcg", "map", "coverage", "fit_seconds"}
    assert [names <= set(row) for row in document["rows"]] == [True, True]
    by_name = {row["model"]: row for row in document["rows"]}
    assert document["relevant"] == 4
    assert by_name["most_liked"]["ndcg"] > 1.25 * document["floor"]["ndcg"]
    assert by_name["most_liked"]["rmse"] is None
    assert 0 < by_name["user_mean"]["rmse"] < 2
    for metric in ("precision", "recall", "ndcg", "map", "mrr", "hit_rate"):
        assert 0 < document["floor"][metric] < document["ceiling"][metric] <= 1
    assert by_name["most_liked"]["ndcg_low"] <= by_name["most_liked"]["ndcg"] <= by_name["most_liked"]["ndcg_high"]


def test_a_model_without_an_opinion_is_at_the_floor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In files the loved items come first; were rows numbered so, ties would favour them."""
    rows = sorted(table(n_items=60, n_users=80), key=lambda row: -row[2])
    document = evaluated(capsys, "--ratings", written(tmp_path, rows), "--model", "global_mean", "--seeds", "3")
    assert document["rows"][0]["recall"] < 2 * document["floor"]["recall"]


@pytest.mark.parametrize("split", ["random", "per-user", "timeline", "new-user", "new-item"])
def test_rows_in_another_order_are_judged_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str) -> None:
    """Users and items too are met in another order. With times: without them the order of the rows is theirs."""
    rows, documents = table(), []
    for seed in (0, 1):
        mixed = [rows[place] for place in np.random.default_rng(seed).permutation(len(rows)).tolist()]
        path = written(tmp_path, mixed)
        documents.append(evaluated(capsys, "--ratings", path, *QUICK, "--model", "als", "--split", split))
        for row in documents[-1]["rows"]:
            del row["fit_seconds"], row["score_seconds"]
    assert documents[0]["rows"] == documents[1]["rows"]
    assert documents[0]["floor"] == documents[1]["floor"]


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", "::", " "])
@pytest.mark.parametrize("header", ["user,item,rating,timestamp", "userId,movieId,score,ts", ""])
def test_separators_and_headers(tmp_path: Path, separator: str, header: str) -> None:
    rows = table()
    found = read_ratings(written(tmp_path, rows, separator, header))
    assert list(zip(found.users, found.items, found.values.tolist(), strict=True)) == [row[:3] for row in rows]
    assert found.at is not None
    assert found.at.tolist() == [row[3] for row in rows]
    assert not found.rejected


@pytest.mark.parametrize(
    ("text", "users", "values"),
    [
        ('user,item,rating\n"Anna, ""A""",x,3\nJörg,"y\nz",4\n', ['Anna, "A"', "Jörg"], [3, 4]),
        ('u;i;r\na;"x";3,5\nb;y;1,0\n', ["a", "b"], [3.5, 1]),
        ("item_id,rating,user_id\nx,3,a\ny,4,b\n", ["a", "b"], [3, 4]),
        (",user,item,rating\n0,a,x,3\n1,b,y,4\n", ["a", "b"], [3, 4]),
        ("wer,was,wie\na,x,3\nb,y,4\n", ["a", "b"], [3, 4]),
        ("1,2,3\n4,5,6\n", ["1", "4"], [3, 6]),
        ("a,x,-1\nb,y,100\n", ["a", "b"], [-1, 100]),
        ("a,x\nb,y\n", ["a", "b"], [1, 1]),
        ("user,item\na,x\nb,y\n", ["a", "b"], [1, 1]),
        ("a,x,1600000000\nb,y,1700000000\n", ["a", "b"], [1, 1]),
        ("date,customer_id,article_id,price\n2018-09-20,a,x,0.1\n2018-09-21,b,y,0.2\n", ["a", "b"], [1, 1]),
        ('user\titem\trating\na"b\tx\t3\n"c\ty\t4\nd\tz\t5\n', ['a"b', '"c', "d"], [3, 4, 5]),
        ("user,item,rating\r\na,x,3\r\n\r\nb,y,4", ["a", "b"], [3, 4]),
    ],
)
def test_files_as_people_write_them(tmp_path: Path, text: str, users: list[str], values: list[float]) -> None:
    path = tmp_path / "any.csv"
    path.write_bytes(text.encode())
    found = read_ratings(path)
    assert (found.users, found.values.tolist()) == (users, values)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "any.csv"
    path.write_bytes("user,item,rating\nJörg,é,3\n".encode(encoding))
    assert (read_ratings(path).users, read_ratings(path).items) == (["Jörg"], ["é"])


def test_gaps_are_counted_by_reason_and_duplicates_follow_the_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gaps = [
        ("", "i1", 3, 1),
        ("u1", "i1", "", 1),
        ("u1", "i2", "NaN", 1),
        ("u1", "i3", "good", 1),
        ("u1", "i4", "inf", 1),
    ]
    rows = [*table(), *gaps, *table()[:4]]
    document = evaluated(capsys, "--ratings", written(tmp_path, rows), *QUICK)
    assert document["counts"] == {
        "rows": len(rows),
        "no rating": 2,
        "no user or item": 1,
        "rating is not a number": 2,
        "duplicates": 4,
    }
    assert document["ratings"] == len(table())
    assert any("came again: the latest counts" in note for note in document["notes"])


@pytest.mark.parametrize(("low", "step", "liked"), [(0.5, 0.5, 2.0), (-1, 2, 5), (1, 24, 73), (0, 1, 3)])
def test_relevance_follows_the_scale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], low: float, step: float, liked: float
) -> None:
    rows = [(user, item, low + step * (value - 1), at) for user, item, value, at in table()]
    document = evaluated(capsys, "--ratings", written(tmp_path, rows), *QUICK)
    assert document["relevant"] == liked


def test_likes_without_ratings_have_no_rmse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, [row[:2] for row in table()], header="user,item")
    document = evaluated(capsys, "--ratings", path, *QUICK)
    assert {row["rmse"] for row in document["rows"]} == {None}
    assert document["relevant"] == 1


@pytest.mark.parametrize("name", ["random", "per-user", "timeline", "new-user", "new-item"])
def test_every_split_and_seed_repeats(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    path = written(tmp_path, table())
    one, other = (
        evaluated(capsys, "--ratings", path, "--split", name, "--seeds", "2", "--model", "most_liked") for _ in range(2)
    )
    assert one["rows"][0]["ndcg"] == other["rows"][0]["ndcg"]
    assert one["split"] == name
    assert one["seeds"] == [42, 43]


def catalog(folder: Path, dim: int = 7) -> tuple[Path, Path]:
    items, vectors = folder / "items.csv", folder / "vectors.npy"
    shops = "\n".join(f"i{i},{'north' if i % 2 else 'south'}" for i in range(25))
    items.write_text(f"item,platform\n{shops}\n")
    np.save(vectors, np.random.default_rng(0).normal(size=(25, dim)))
    return items, vectors


def test_vectors_of_any_width_let_content_models_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items, vectors = catalog(tmp_path)
    words = ["--ratings", written(tmp_path, table()), "--items", items, "--vectors", vectors]
    document = evaluated(capsys, *words, "--model", "content", "--model", "ridge", "--split", "cross-platform")
    assert {row["model"] for row in document["rows"]} == {"content", "ridge"}
    assert all(0 < row["diversity"] < 2 for row in document["rows"])
    names = {one["slice"] for one in document["rows"][0]["slices"]}
    assert {"platform north", "platform south"} <= names


def test_vectors_stay_with_their_items(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who likes one kind of item is shown that kind first, half of what competes, if vectors stand in their places."""
    kinds = np.arange(40) % 2
    rng = np.random.default_rng(1)
    rows = [
        (f"u{user}", f"i{item}", 5 if kinds[item] == user % 2 else 1, 0)
        for user in range(120)
        for item in rng.choice(40, 20, replace=False)
    ]
    (tmp_path / "items.csv").write_text("item\n" + "\n".join(f"i{i}" for i in range(40)))
    np.save(tmp_path / "v.npy", np.stack([kinds, 1 - kinds], axis=1) + rng.normal(0, 0.1, (40, 2)))
    words = ["--items", tmp_path / "items.csv", "--vectors", tmp_path / "v.npy", "--model", "content", "-k", "3"]
    document = evaluated(capsys, "--ratings", written(tmp_path, rows), *words)
    assert document["rows"][0]["ndcg"] == pytest.approx(2 * document["floor"]["ndcg"], rel=0.2)


def test_without_vectors_content_models_are_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--ratings", written(tmp_path, table()), *QUICK, "--model", "content"]
    document = evaluated(capsys, *words)
    assert {row["model"] for row in document["rows"]} == {"most_liked", "user_mean"}
    assert "left out: content (needs --vectors)" in document["notes"]


def test_a_test_file_is_the_split_and_must_not_overlap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = table()
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    written(tmp_path, rows[:200]).rename(train)
    written(tmp_path, rows[200:]).rename(test)
    document = evaluated(capsys, "--ratings", train, "--test", test, *QUICK)
    assert (document["split"], document["test_ratings"]) == ("given", len(rows) - 200)
    written(tmp_path, rows[190:]).rename(test)
    sentence = refused(capsys, "--ratings", train, "--test", test)
    assert "10 of 80 test ratings are in the training set too" in sentence
    assert any(f"the first of user '{user}' and item '{item}'" in sentence for user, item, _, _ in rows[190:200])


def test_a_product_under_two_ids_is_found_in_a_users_own_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row for row in table() if row[0] not in ("u0", "u1") or row[1] not in ("i3", "i4")]
    items, vectors = catalog(tmp_path)
    found = np.load(vectors)
    found[4] = 2 * found[3]
    np.save(vectors, found)
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    written(tmp_path, [*rows[:200], ("u0", "i3", 5, 1)]).rename(train)
    with_vectors = ["--items", items, "--vectors", vectors, *QUICK]
    words = ["--ratings", train, "--test", test, *with_vectors]
    rest = [row for row in rows[200:] if row[1] not in ("i3", "i4")]
    written(tmp_path, [*rest, ("u0", "i4", 5, 9)]).rename(test)
    assert "user 'u0': item 'i4' and item 'i3'" in refused(capsys, *words)
    # Of another user it is no leak.
    written(tmp_path, [*rest, ("u1", "i4", 5, 9)]).rename(test)
    assert not any("identical" in note for note in evaluated(capsys, *words)["notes"])
    whole = written(tmp_path, [*rest, ("u0", "i3", 5, 1), ("u0", "i4", 5, 2 * 10**9)])
    notes = evaluated(capsys, "--ratings", whole, "--split", "timeline", *with_vectors)["notes"]
    assert any("1 of " in note and "all but identical to one in the user's history" in note for note in notes)


def huge_header() -> bytes:
    """A NumPy file that claims more numbers than any machine has room for."""
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (50000000000000, 2), }\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head


def test_mistakes_get_one_line_that_says_what_to_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, table())
    items, vectors = catalog(tmp_path)
    np.save(tmp_path / "short.npy", np.ones((3, 4)))
    whole = (tmp_path / "short.npy").read_bytes()
    damaged = {"cut": b"", "zip": b"PK\x03\x04" + whole, "head": whole[:10] + b"{" * 100, "huge": huge_header()}
    for name, content in damaged.items():
        (tmp_path / f"{name}.npy").write_bytes(content)
    (tmp_path / "one.csv").write_text("a\nb\n")
    (tmp_path / "empty.csv").write_text("\n")
    (tmp_path / "commas.csv").write_text(",\n,\n")
    (tmp_path / "endless.csv").write_text("user,item,rating\n" + "a" * 200_000 + ",x,3\n")
    (tmp_path / "other.csv").write_text("item\n0i1\n")
    (tmp_path / "words.csv").write_text("user,item,rating\na,b,good\n")
    for words, sentence in (
        (["--ratings", tmp_path / "none.csv"], "cannot read"),
        (["--ratings", tmp_path / "one.csv"], "one column"),
        (["--ratings", tmp_path / "empty.csv"], "is empty"),
        (["--ratings", tmp_path / "commas.csv"], "is empty but for"),
        (["--ratings", tmp_path / "endless.csv"], "a line of 200004 letters"),
        (["--ratings", path, "--items", tmp_path / "endless.csv"], "a line of 200004 letters"),
        (["--ratings", path, "--items", tmp_path / "commas.csv"], "is empty but for"),
        (["--ratings", path, "--relevant", "nan"], "--relevant must be"),
        (["--ratings", path, "--relevant", "1e300"], "--relevant must be"),
        (["--ratings", tmp_path / "words.csv"], "rating is not a number: 1"),
        (["--ratings", path, "--model", "magic"], "no model 'magic'; there are:"),
        (["--ratings", path, "--split", "magic"], "no split 'magic'; there are:"),
        (["--ratings", path, "--split", "cross-platform"], "platform column"),
        (["--ratings", path, "--model", "content"], "give --vectors"),
        (["--ratings", path, "--relevant", "9"], "lower --relevant"),
        (["--ratings", path, "-k", "0"], "-k must be"),
        (["--ratings", path, "-k", "50000000"], "-k must be"),
        (["--ratings", path, "--seed", "-1"], "--seed must be"),
        (["--ratings", path, "--seeds", "0"], "--seeds must be"),
        (["--ratings", path, "--map", "rating=nothing"], "there is no column 'nothing'"),
        (["--ratings", path, "--map", "nothing"], "--map wants"),
        (["--ratings", path, "--items", items, "--vectors", tmp_path / "short.npy"], "has 3 rows"),
        (["--ratings", path, "--items", items, "--vectors", path], "NumPy file"),
        *((["--ratings", path, "--items", items, "--vectors", tmp_path / f"{name}.npy"], "NumPy") for name in damaged),
        (["--ratings", path, "--items", tmp_path / "other.csv"], "leading zeros"),
    ):
        assert sentence in refused(capsys, *words), words
    assert vectors.exists()


def test_a_file_of_almost_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, [("a", "x", 5, 1), ("b", "y", 5, 2)])
    document = evaluated(capsys, "--ratings", path)
    assert document["judged_users"] == 1
    assert "leaves none" in refused(capsys, "--ratings", written(tmp_path, [("a", "x", 5, 1)]))


def test_an_unclosed_quote_does_not_swallow_the_file(tmp_path: Path) -> None:
    path = tmp_path / "any.csv"
    path.write_text('user,item,rating\na,"x,3\nb,y,4\nc,z,5\n')
    assert read_ratings(path).users == ["a", "b", "c"]


def test_a_file_without_ratings_is_refused_with_its_reasons(tmp_path: Path) -> None:
    path = tmp_path / "any.csv"
    path.write_text("user,item,rating\n,x,3\nb,,4\n")
    with pytest.raises(UserError, match="no user or item: 2"):
        read_ratings(path)


def test_trials_try_settings_for_every_model_and_say_which(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ratings = written(tmp_path, table())
    words = ["--ratings", ratings, "--model", "most_liked", "--model", "low_rank", "--model", "ease"]
    plain, tuned = evaluated(capsys, *words), evaluated(capsys, *words, "--trials", 8, "--seeds", 2)
    assert (plain["trials"], tuned["trials"]) == (1, 8)
    assert [row["params"] for row in plain["rows"]] == [[{}]] * 3
    chosen = {row["model"]: row["params"] for row in tuned["rows"]}
    assert chosen["most_liked"] == [{}, {}]
    # The defaults of low_rank are for far more ratings.
    assert all("learning_rate" in one for one in chosen["low_rank"])
    assert "--trials must be at least 1" in refused(capsys, *words, "--trials", 0)


def test_the_threshold_is_printed_as_it_is_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(user, item, f"0.{value}31", at) for user, item, value, at in table()]
    found = evaluated(capsys, "--ratings", written(tmp_path, rows), *QUICK)
    assert str(found["relevant"]) in {value for _, _, value, _ in rows}


def test_a_row_has_one_estimator_however_many_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row for row in table(n_users=12) if row[0] != "u0"][:90]
    words = ["--ratings", written(tmp_path, rows), *QUICK, "--model", "random", "--seeds", 4, "-k", 3]
    found = evaluated(capsys, *words)
    best = found["rows"][0]
    assert best["model"] == found["best"]
    for row in found["rows"]:
        assert row["ndcg_less_best"] == pytest.approx(row["ndcg"] - best["ndcg"], abs=1e-12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", ["2.9e38", "-2.9e38", "1e300", "1000000001"])
def test_ratings_beyond_all_scales_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str) -> None:
    path = written(tmp_path, [*table()[:20], ("new", "i24", value, 1)])
    assert "the rating in row 21 is" in refused(capsys, "--ratings", path, *QUICK)
    written(tmp_path, [*table()[:20], ("new", "i24", "-1e9", 1)])
    assert evaluated(capsys, "--ratings", path, *QUICK, "--relevant", "4")["ratings"] == 21


def test_an_items_file_without_a_header_loses_no_item(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items, vectors = catalog(tmp_path)
    words = ["--ratings", written(tmp_path, table()), "--items", items, "--vectors", vectors, *QUICK]
    whole = evaluated(capsys, *words)
    lines = items.read_text().split("\n")
    items.write_text("\n".join(lines[1:]))
    bare = evaluated(capsys, *words)
    assert (whole["items"], bare["items"]) == (25, 25)
    assert any("there is no header, 'i0' is an item" in note for note in bare["notes"])
    # The first item need not be rated: what else it was taken for is said.
    items.write_text("\n".join(["artikel,platform", *lines[1:]]))
    said = evaluated(capsys, *words)
    assert said["items"] == 25
    assert any("'artikel' for the item column" in note for note in said["notes"])
    assert not any("items file" in note for note in whole["notes"])


@pytest.mark.parametrize("header", ["kunde,artikel", "kunde,artikel,note", "kunde,artikel,note,wann"])
def test_a_header_of_unknown_names_is_no_user(tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str) -> None:
    width = header.count(",") + 1
    for rows in (table(), [(row[0][1:], *row[1:]) for row in table()]):
        path = written(tmp_path, [row[:width] for row in rows], header=header)
        if width > 2:
            assert "kunde" not in read_ratings(path).users
        else:
            assert "'kunde' above" in refused(capsys, "--ratings", path)
            found = read_ratings(path, {"user": "kunde", "item": "artikel"})
            assert found.users == [row[0] for row in rows]
    # A word above times is a header as much as one above numbers.
    path = written(tmp_path, [(*row[:2], "2020-01-01") for row in table()], header="kunde,artikel,wann")
    assert "kunde" not in read_ratings(path).users
    assert read_ratings(path).at is not None


def test_what_the_first_row_was_taken_for_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, [("ann", "pen"), ("bob", "hat")], header="kunde,artikel")
    assert "there is no header: the first row is 'kunde', 'artikel'" in read_ratings(path).notes
    path = written(tmp_path, [("", "i1"), ("ann", "i2"), ("u1", "i3"), ("u2", "")], header="")
    assert read_ratings(path).rejected == {"no user or item": 2}
    assert read_ratings(written(tmp_path, [("ann",), ("bob", "hat"), *[("b", "c")] * 20], header="")).rejected == {
        "too few cells": 1
    }


@pytest.mark.filterwarnings("error")
def test_an_item_that_is_there_twice_is_found_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Looked for pair by pair, a hundred thousand items would take minutes."""
    (tmp_path / "items.csv").write_text("item\n" + "".join(f"i{n}\n" for n in [*range(100_000), 99_999]))
    start = time.perf_counter()
    words = ["--ratings", written(tmp_path, table()), "--items", tmp_path / "items.csv"]
    assert "item 'i99999' is there twice" in refused(capsys, *words)
    assert time.perf_counter() - start < 20
