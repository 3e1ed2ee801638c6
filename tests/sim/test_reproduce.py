"""The seed's table: digit for digit where it is deterministic, and the guard's word on how it was made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from models.leak_guard import LeakError, refuse_leaks
from models.registry import MODELS
from models.splits import Split
from node.cli import run
from sim import as_published as published
from sim import as_published_learned as learned
from sim import reproduce
from sim.as_published import Cut, Figures

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "seed"
with_the_seeds_ratings = pytest.mark.skipif(not DATA.is_dir(), reason="the seed's ratings (../shared/data) are absent")


@pytest.fixture(scope="module")
def cuts() -> tuple[Cut, Cut, tuple[int, int]]:
    bench = reproduce._seed_bench(DATA, 1)
    return bench.cuts["full"], bench.cuts["binary"], bench.shape


def digits(figures: Figures) -> tuple[str, str, str, str]:
    return tuple(f"{getattr(figures, key):.4f}" for key in reproduce.METRICS)  # type: ignore[return-value]


@with_the_seeds_ratings
def test_the_splits_are_the_seeds(cuts: tuple[Cut, Cut, tuple[int, int]]) -> None:
    for cut, first in ((cuts[0], (620, 3, -1)), (cuts[1], (1432, 5, -1))):
        train = cut.train
        assert (train.items[0], train.users[0], train.values[0]) == first
        assert (len(train.items), len(cut.held.items)) == (12_053, 3_014)


@with_the_seeds_ratings
def test_collaborative_filtering_to_the_digit(cuts: tuple[Cut, Cut, tuple[int, int]]) -> None:
    full, binary, shape = cuts
    again = published.judge_neighbours(published.user_neighbours(full.train.matrix(shape)), full, full)
    assert (digits(again), again.pairs) == (("3.2663", "2.6129", "0.0167", "0.0042"), 2452)
    again = published.judge_neighbours(published.user_neighbours(binary.train.matrix(shape)), binary, full)
    assert (digits(again), again.pairs) == (("1.5316", "1.1729", "0.9667", "0.2426"), 266)
    # Errors before the mask has overwritten the predictions, over all that were above 0; and a list without the leak.
    predicted = published.user_neighbours(binary.train.matrix(shape))
    unmasked = published.judge(predicted, binary, None, binary.held, 1, only_above_0=True)
    assert (digits(unmasked)[:2], unmasked.pairs) == (("1.5499", "1.2011"), 1437)
    assert digits(published.judge_on_own_split(predicted, binary))[2] == "0.0167"


@with_the_seeds_ratings
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_vectors_give_the_published_binary_content_row(
    cuts: tuple[Cut, Cut, tuple[int, int]], seed: int
) -> None:
    full, binary, shape = cuts
    vectors = np.random.default_rng(seed).normal(size=(shape[0], 64))
    predicted = published.item_neighbours(binary.train.matrix(shape), vectors)
    assert digits(published.judge_neighbours(predicted.copy(), binary, full))[2:] == ("1.0000", "0.2510")
    assert published.judge_on_own_split(predicted, binary).precision < 0.03


@with_the_seeds_ratings
def test_the_guard_refuses_the_binary_protocol_by_name_and_passes_the_honest_ones(
    cuts: tuple[Cut, Cut, tuple[int, int]],
) -> None:
    full, binary, shape = cuts
    with pytest.raises(LeakError, match=r"the seed's binary protocol.*80\.8%.*2434 of 3014"):
        refuse_leaks(reproduce.leaking_split(full, binary, shape))
    for cut in (full, binary):
        refuse_leaks(reproduce.honest_split(cut, shape))


@with_the_seeds_ratings
def test_what_is_random_comes_near_what_was_published(cuts: tuple[Cut, Cut, tuple[int, int]]) -> None:
    full, binary, shape = cuts
    for cut, rank, expected in ((full, 22, 3.4647), (binary, 27, 1.0942)):
        again = published.judge_on_own_split(learned.classic(cut, shape, rank, 0)[0], cut)
        assert again.rmse == pytest.approx(expected, rel=0.05)
    for cut, rank, expected in ((full, 11, 5.6161), (binary, 5, 0.9998)):
        again = published.judge_on_own_split(learned.bpr(cut, shape, rank, 0)[0], cut)
        assert again.rmse == pytest.approx(expected, rel=0.002)


def test_neighbours_by_hand() -> None:
    """Two users who agree, one rated by one of them only: the other's rating, less a hundred-millionth."""
    train = np.array([[5.0, 5.0], [7.0, 0.0], [0.0, -1.0], [0.0, 3.0]])
    predicted = published.user_neighbours(train)
    assert predicted[0].tolist() == [5, 5]
    assert predicted[1, 0] == 7
    assert 0 < 7 - predicted[1, 1] < 1e-6
    # A dislike is neither passed on nor copied.
    assert predicted[2].tolist() == [0, 0]


def test_judging_by_hand_and_in_place() -> None:
    held = published.Triples(np.array([1, 2]), np.array([0, 0]), np.array([9.0, 2.0]))
    train = published.Triples(np.array([0]), np.array([0]), np.array([8.0]))
    cut = Cut(train, held, 7)
    predicted = np.array([[9.0], [5.0], [0.0]])
    again = published.judge_on_own_split(predicted, cut, only_above_0=True)
    assert (again.pairs, again.rmse, again.recall, again.precision) == (1, 4, 1, 0.1)
    assert predicted[0, 0] == -1


def test_learning_repeats_and_learns() -> None:
    rng = np.random.default_rng(0)
    ratings = np.where(rng.random((40, 6)) < 0.5, rng.integers(1, 11, (40, 6)), 0).astype(float)
    full, _ = published.seed_cuts(ratings)
    vectors = rng.normal(size=(40, 5))
    for train in (
        lambda seed: learned.classic(full, (40, 6), 3, seed),
        lambda seed: learned.bpr(full, (40, 6), 3, seed),
        lambda seed: learned.projection(full, vectors, 6, 3, seed),
        lambda seed: learned.two_tower(full, vectors, 6, seed),
    ):
        (one, losses), (again, _), (other, _) = train(0), train(0), train(1)
        assert np.array_equal(one, again)
        assert not np.array_equal(one, other)
        assert losses[-1] < losses[0]
        assert one.shape == (40, 6)


def test_every_named_mistake_is_pointed_out_where_it_is_made() -> None:
    folder = Path(reproduce.__file__).parent
    code = "".join(
        (folder / name).read_text() for name in ("as_published.py", "as_published_learned.py", "reproduce.py")
    )
    for name in published.MISTAKES:
        assert f"MISTAKE {name}" in code, name


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few epochs and ranks: what is tested is the table and not the learning."""
    for name, value in (("RANKS", range(2, 4)), ("EPOCHS", 1), ("TOWER_EPOCHS", 1), ("PROJECTION_STEPS", 5)):
        monkeypatch.setattr(learned, name, value)
    monkeypatch.setattr(learned, "TOWER_BATCH", 2048)
    monkeypatch.setattr(reproduce, "HONEST", {**reproduce.HONEST, "two-tower": "content"})


@pytest.mark.usefixtures("short")
def test_without_the_seeds_data_the_demo_serves_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sim", "reproduce", "--json", "--seeds", "1", "--out", str(tmp_path / "plots")]) == 0
    document = json.loads(capsys.readouterr().out)
    rows = {(row["model"], row["ratings"], row["protocol"]) for row in document["rows"]}
    assert len(rows) == len(document["rows"]) == 6 * 2 * 3
    assert "not the seed's" in document["notes"][0]
    assert any("the seed's binary protocol" in note for note in document["notes"])
    by_name = {(row["model"], row["ratings"], row["protocol"]): row for row in document["rows"]}
    # The leak needs no seed data: with two splits of any ratings the held-out items are copied through.
    leaked = by_name["content", "binary", "as-published"]["precision"]
    assert leaked > 3 * by_name["content", "binary", "honest"]["precision"]
    for plot in document["plots"]:
        assert Path(plot).read_bytes().startswith(b"\x89PNG")
    assert len(document["plots"]) == 4


def test_data_that_are_not_the_seeds_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sim", "reproduce", "--data", str(tmp_path)]) == 2
    assert "persona_ratings.json" in capsys.readouterr().err
    (tmp_path / "persona_ratings.json").write_text("[1]")
    (tmp_path / "row_ranges.json").write_text("{}")
    assert run(["sim", "reproduce", "--data", str(tmp_path)]) == 2
    assert "not the seed's" in capsys.readouterr().err
    assert run(["sim", "reproduce", "--seeds", "0"]) == 2


@pytest.mark.parametrize("place", ["a file", "below a file", "read-only"])
def test_a_folder_that_cannot_be_written_is_told_before_any_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "taken").write_text("")
    # Root may write anywhere but where there is nothing to write to.
    out = {"a file": tmp_path / "taken", "below a file": tmp_path / "taken" / "plots", "read-only": Path("/proc/self")}
    if not out[place].parent.exists():
        pytest.skip("there is no such folder here")

    def train(*_: object) -> dict[str, object]:
        raise AssertionError("trained before the folder was tried")

    monkeypatch.setattr(reproduce, "_again", train)
    assert run(["sim", "reproduce", "--seeds", "1", "--out", str(out[place])]) == 2
    err = capsys.readouterr().err
    assert "cannot write into the folder" in err
    assert err.count("\n") == 1


def test_every_row_has_an_honest_model_beside_it() -> None:
    assert set(reproduce.HONEST) == set(reproduce.PUBLISHED)
    assert set(reproduce.HONEST.values()) <= set(MODELS)


def test_the_leaking_split_is_three_tables_of_one_numbering() -> None:
    ratings = np.where(np.random.default_rng(0).random((30, 5)) < 0.6, 8.0, 0.0)
    split = reproduce.leaking_split(*published.seed_cuts(ratings), ratings.shape)
    assert isinstance(split, Split)
    assert {one.n_items for one in (split.train, split.given, split.test)} == {30}
