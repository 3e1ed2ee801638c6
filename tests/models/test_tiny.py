"""The embedded tiny encoder as it is shipped: its papers, its floors on fresh renders, and that it can be rebuilt."""

from __future__ import annotations

import gzip
import hashlib
import random
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from models.clip import Encoder, open_untrained
from sim.measure_tiny import (
    Figure,
    evaluation_pool,
    measure_photos,
    neighbours_agree,
    recall_at,
    retrieval_figures,
    zero_shot_figures,
)
from sim.tiny_data import EVALUATION_SEEDS, draw_shots, encode_attributes, shoot, training_shots
from sim.tiny_learning import captions_for, contrastive_loss, encode_tokens, likeness
from sim.tiny_vocabulary import merges_needed
from sim.train_tiny import WEIGHTS_BYTES_MAX, build, recipe_for
from sim.vocabulary import is_held_out

FOLDER = Path(__file__).resolve().parents[2] / "models" / "tiny"
WEIGHTS = FOLDER / "open_clip_model.safetensors"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load("tiny")


def values(figures: Sequence[Figure]) -> dict[str, float]:
    return {figure.name: figure.value for figure in figures}


# --- the files


def test_the_weights_are_small_readable_and_those_of_the_card() -> None:
    assert WEIGHTS.stat().st_size <= WEIGHTS_BYTES_MAX
    assert WEIGHTS.stat().st_mode & 0o444 == 0o444
    digest = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert digest in (FOLDER / "MODEL_CARD.md").read_text()


def test_the_merges_end_without_a_newline_and_carry_their_notice() -> None:
    merges = gzip.decompress((FOLDER / "bpe.txt.gz").read_bytes()).decode()
    assert not merges.endswith("\n")
    assert "MIT" in (FOLDER / "NOTICE").read_text()


def test_the_card_says_what_was_measured_and_what_cannot_be_done() -> None:
    card = (FOLDER / "MODEL_CARD.md").read_text()
    for phrase in ("zero-shot category", "photos: tiny, same type", "What it can't do", "To rebuild", "- seed: "):
        assert phrase in card
    assert len(re.findall(r"\b[0-9a-f]{64}\b", card)) == 1


# --- the encoder


def test_one_picture_and_one_text_are_the_same_alone_and_in_a_batch(encoder: Encoder) -> None:
    shots = draw_shots(random.Random(3), 5, is_held_out, seed_from=EVALUATION_SEEDS)
    pictures = [shoot(shot, 96) for shot in shots]
    texts = [
        "a red dress",
        "navy",
        "women's black floral print maxi dress, has a v-neck and long sleeves",
        "",
        "x" * 900,
    ]
    many_pictures, many_texts = encoder.encode_images(pictures).vectors, encoder.encode_texts(texts).vectors
    for row, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
        np.testing.assert_allclose(encoder.encode_images([picture]).vectors[0], many_pictures[row], atol=1e-5)
        np.testing.assert_allclose(encoder.encode_texts([text]).vectors[0], many_texts[row], atol=1e-5)


def test_vectors_are_unit_rows_of_512(encoder: Encoder) -> None:
    shot = draw_shots(random.Random(4), 1, is_held_out)[0]
    for vectors in (encoder.encode_images([shoot(shot, 64)]).vectors, encoder.encode_texts(["a blue coat"]).vectors):
        assert vectors.shape == (1, 512)
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors[0]) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_retrieval_of_a_hundred_held_out_combinations(encoder: Encoder) -> None:
    figures = values(retrieval_figures(encoder, evaluation_pool(random.Random("floors"), 100)))
    assert figures["retrieval image->text R@10"] > 0.95
    assert figures["retrieval text->image R@10"] > 0.95


@pytest.mark.slow
def test_attributes_are_read_from_pictures_of_held_out_combinations(encoder: Encoder) -> None:
    shots = draw_shots(random.Random("floors"), 150, is_held_out, seed_from=EVALUATION_SEEDS)
    figures = values(zero_shot_figures(encoder, shots))
    assert figures["zero-shot category"] > 0.70
    assert figures["zero-shot colour"] > 0.88
    assert figures["zero-shot pattern"] > 0.72


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("red dress", "maroon gown", "blue jeans"),
        ("women's floral print skirt", "flower print skirt", "striped skirt"),
        ("Nolubel Men Navy Blue Solid Polo T-shirt", "dark blue plain polo", "yellow plain polo"),
    ],
)
def test_texts_of_like_garments_are_nearer(encoder: Encoder, text: str, near: str, far: str) -> None:
    own, like, unlike = encoder.encode_texts([text, near, far]).vectors
    assert own @ like > own @ unlike + 0.1


# --- how it is measured and trained


def test_training_never_draws_a_held_out_combination_nor_an_evaluation_seed() -> None:
    shots = [shot for chunk in range(3) for shot in training_shots(7, chunk, 500)]
    assert not any(is_held_out(shot.garment) for shot in shots)
    assert max(shot.seed for shot in shots) < EVALUATION_SEEDS
    assert min(shot.seed for shot in evaluation_pool(random.Random(1), 50)) >= EVALUATION_SEEDS
    assert training_shots(7, 0, 20) == training_shots(7, 0, 20)


def test_the_pool_has_distinct_combinations_and_all_held_out_ones_first() -> None:
    pool = evaluation_pool(random.Random(2), 500)
    held_out = [is_held_out(shot.garment) for shot in pool]
    assert len({(s.garment.category, s.garment.colour, s.garment.pattern) for s in pool}) == 500
    assert held_out == sorted(held_out, reverse=True)
    assert sum(held_out) > 200


def test_recall_counts_only_strictly_better_columns() -> None:
    scores = np.array([[0.9, 0.1, 0.2], [0.8, 0.5, 0.1], [0.1, 0.2, 0.3]], np.float32)
    assert recall_at(scores, 1, 3) == pytest.approx(2 / 3)
    assert recall_at(scores, 2, 3) == 1


def test_neighbours_leave_the_query_out() -> None:
    vectors = np.array([[1, 0], [0.99, 0.14], [0, 1], [0.14, 0.99]], np.float32)
    assert neighbours_agree(vectors, ["a", "a", "b", "b"], k=1) == 1
    assert neighbours_agree(vectors, ["a", "b", "a", "b"], k=1) == 0


@pytest.mark.slow
def test_photographs_are_measured_beside_both_baselines(encoder: Encoder, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    lines = ["id,articleType,baseColour,productDisplayName"]
    for i, shot in enumerate(draw_shots(random.Random(6), 24, is_held_out, seed_from=EVALUATION_SEEDS)):
        shoot(shot, 64).save(tmp_path / "images" / f"{i}.jpg")
        kind = ("Tshirts", "Jeans")[i % 2]
        lines.append(f"{i},{kind},{('Red', 'Blue')[i % 2]},a {shot.garment.colour} thing")
    (tmp_path / "items.csv").write_text("\n".join(lines) + "\n")
    figures = measure_photos(encoder, tmp_path)
    names = [figure.name for figure in figures]
    assert "photos: 16x16 pixels, same type" in names
    assert "photos: colour histogram, same colour" in names
    tiny = next(figure for figure in figures if figure.name == "photos: tiny, same type")
    assert tiny.target == max(figure.value for figure in figures[:2])


def test_a_partial_caption_is_true_of_every_picture_that_fits_it() -> None:
    shots = training_shots(1, 0, 200)
    codes = encode_attributes(shots)
    _, truth, complete = captions_for(shots, codes, random.Random(1), partial_share=0.5)
    assert bool(truth.diagonal().all())
    assert 60 < int((~complete).sum()) < 140
    assert bool((truth.sum(dim=0)[complete] == 1).all())
    assert float(truth.sum(dim=0)[~complete].float().mean()) > 3


def test_a_caption_true_of_two_pictures_is_no_mistake() -> None:
    vectors = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), dim=1)
    own = torch.eye(3, dtype=torch.bool)
    both = own.clone()
    both[0, 1] = both[1, 0] = True
    scale = torch.tensor(20.0)
    assert contrastive_loss(vectors, vectors, scale, both) < contrastive_loss(vectors, vectors, scale, own)


def test_likeness_is_one_with_itself_and_gives_credit_to_relatives() -> None:
    codes = torch.from_numpy(encode_attributes(training_shots(1, 0, 80)))
    likes = likeness(codes)
    assert torch.allclose(likes, likes.T)
    assert torch.allclose(likes.diagonal(), torch.ones(len(codes)))
    assert float(likes.min()) >= 0


def test_grouped_text_encoding_equals_the_model_s_own(tmp_path: Path) -> None:
    for name in ("open_clip_config.json", "bpe.txt.gz"):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    torch.manual_seed(0)
    model, tokenizer = open_untrained(tmp_path)
    tokens = tokenizer(["a red dress", "x", "women's black floral print maxi dress with long sleeves", "grey tee"] * 3)
    with torch.no_grad():
        expected = model.eval().encode_text(tokens, normalize=True)  # type: ignore[operator]
        assert torch.allclose(encode_tokens(model, tokens), expected, atol=1e-5)


def test_merges_needed_follow_rank_order() -> None:
    ranks = {("r", "e"): 0, ("re", "d</w>"): 1, ("e", "d</w>"): 2}
    assert merges_needed("red", ranks) == {("r", "e"), ("re", "d</w>")}
    assert merges_needed("xyz", ranks) == set()


@pytest.mark.training
def test_forty_steps_lower_the_loss_and_leave_a_folder_that_opens(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    if "training" not in pytestconfig.getoption("-m"):
        pytest.skip("minutes of training: run with -m training")
    losses = build(tmp_path, recipe_for(40), command="a test")
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    encoder = Encoder.load_folder(tmp_path)
    assert encoder.encode_texts(["a red dress"]).vectors.shape == (1, 512)
    assert (tmp_path / "open_clip_model.safetensors").stat().st_size <= WEIGHTS_BYTES_MAX
    assert "not measured on real photographs" in (tmp_path / "MODEL_CARD.md").read_text()
