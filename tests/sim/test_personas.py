"""Biographies and tastes say the same thing: in words, in weights, and in the ratings that come of them."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from sim.datasets import Demo, build_demo
from sim.personas import PERSONAS, STYLES, Persona
from sim.tastes import VISIBLE, draw_weights, style_numbers, style_statements
from sim.vocabulary import CATEGORIES, COLOURS, PATTERNS

WORDS = [
    *(("category", name, word) for name, category in CATEGORIES.items() for word in (name, *category.words)),
    *(("colour", name, word) for name, (_, words) in COLOURS.items() for word in (name, *words)),
    *(("pattern", name, word) for name, words in PATTERNS.items() for word in (name, *words)),
    *(("fit", "slim", word) for word in ("slim", "fitted")),
    *(("fit", "loose", word) for word in ("loose", "oversized", "roomy")),
    *(("price", "high", word) for word in ("pays", "expensive")),
    *(("price", "low", word) for word in ("cheap", "bargain", "budget")),
]


def statements(text: str) -> set[tuple[str, str]]:
    """Every (topic, value) that a text speaks of; the longest words first, so that "t-shirt" is no shirt."""
    found = set()
    for topic, value, word in sorted(WORDS, key=lambda row: -len(row[2])):
        text, times = re.subn(rf"(?<![\w-]){re.escape(word)}(?:e?s)?(?![\w-])", "_", text, flags=re.IGNORECASE)
        if times:
            found.add((topic, value))
    return found


def said(persona: Persona) -> set[tuple[str, str]]:
    tables = (persona.stated, persona.avoided)
    return {(topic, value) for table in tables for topic, values in table.items() for value in values}


@pytest.fixture(scope="module", params=range(3))
def demo(request: pytest.FixtureRequest) -> Demo:
    return build_demo(request.param)


def test_thirty_people_of_six_styles() -> None:
    assert len({persona.name for persona in PERSONAS}) == len(PERSONAS) == 30
    assert Counter(persona.style for persona in PERSONAS) == dict.fromkeys(STYLES, 5)
    assert len({persona.bio for persona in PERSONAS}) == 30


@pytest.mark.parametrize("persona", PERSONAS, ids=lambda persona: persona.name)
def test_a_biography_is_two_sentences_that_state_exactly_the_tastes(persona: Persona) -> None:
    assert len(re.findall(r"[.!?](?: |$)", persona.bio)) == 2
    assert statements(persona.bio) == said(persona)


def test_everybody_states_and_avoids_something_and_not_the_same() -> None:
    for persona in PERSONAS:
        assert {"category", "colour"} <= persona.stated.keys()
        assert persona.avoided
        assert not {(t, v) for t, values in persona.stated.items() for v in values} & {
            (t, v) for t, values in persona.avoided.items() for v in values
        }


def test_weights_say_what_the_biographies_say(demo: Demo) -> None:
    for user, persona in enumerate(demo.personas):
        for block in VISIBLE:
            names, row = demo.features.names[block], demo.weights[block][user]
            order = [names[feature] for feature in np.argsort(-row)]
            stated, avoided = persona.stated.get(block, ()), persona.avoided.get(block, ())
            assert tuple(order[: len(stated)]) == stated
            assert tuple(order[::-1][: len(avoided)]) == avoided


def test_scores_say_what_the_biographies_say(demo: Demo) -> None:
    price_I = demo.features.values["price"][:, 0]
    for user, persona in enumerate(demo.personas):
        for block in VISIBLE:
            one_hot, names, score_I = demo.features.values[block], demo.features.names[block], demo.scores[block][user]
            for table, sign in ((persona.stated, 1), (persona.avoided, -1)):
                for value in table.get(block, ()):
                    mine = one_hot[:, names.index(value)] > 0
                    assert sign * (score_I[mine].mean() - score_I[~mine].mean()) > 0, (persona.name, value)
        if "price" in persona.stated:
            slope = np.polyfit(price_I, demo.scores["price"][user], 1)[0]
            assert (slope > 0) == (persona.stated["price"] == ("high",)), persona.name


def test_ratings_are_higher_where_the_biography_says_so(demo: Demo) -> None:
    """Over all personas, with noise: what is stated is rated well above what is avoided."""
    gaps = []
    for user, persona in enumerate(demo.personas):
        ratings_I = demo.ratings.complete_UI[user]
        means = []
        for table in (persona.stated, persona.avoided):
            flags = [
                demo.features.values[block][:, demo.features.names[block].index(value)] > 0
                for block in VISIBLE
                for value in table.get(block, ())
            ]
            means.append(ratings_I[np.any(flags, axis=0)].mean())
        gaps.append(means[0] - means[1])
    assert np.mean(gaps) > 1.5
    assert np.mean(np.array(gaps) > 0) > 0.9


def test_a_biography_rearranges_what_was_drawn_and_adds_nothing(demo: Demo) -> None:
    drawn = draw_weights(
        demo.features,
        style_numbers(PERSONAS),
        np.random.default_rng([demo.seed, *b"weights"]),
        style_statements(PERSONAS),
    )
    for block in VISIBLE:
        assert np.allclose(np.sort(drawn[block], axis=1), np.sort(demo.weights[block], axis=1))


def test_people_of_one_style_agree_more(demo: Demo) -> None:
    correlation = np.corrcoef(demo.ratings.ideal_UI)
    style = style_numbers(demo.personas)
    same, itself = style[:, None] == style, np.eye(len(style), dtype=bool)
    assert correlation[same & ~itself].mean() > correlation[~same].mean() + 0.1
