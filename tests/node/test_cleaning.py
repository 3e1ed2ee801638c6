"""Text cleaning: the table of quirks, and that clean text stays as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.cleaning import _is_plain, _plain_line, _settle, clean_prose, clean_text, cut_text, first_words, squash

LINES = [
    ("  Blue\u00a0 Shirt \t\n", "Blue Shirt"),
    ("<p><strong>Wash Care</strong><br /> Machine Wash<br/>do not bleach</p>", "Wash Care. Machine Wash do not bleach"),
    ("<ul><li>Slim fit</li><li>Cotton</li></ul>", "Slim fit. Cotton"),
    ("<style>p {color: red}</style>Soft<script>alert(1)</script>", "Soft"),
    ("a <a href='/men-shorts?src=desc' class='seolink'>shorts</a> look", "a shorts look"),
    ("Tom &amp;amp;amp; Jerry", "Tom & Jerry"),
    ("&lt;b&gt;Soft&lt;/b&gt;&nbsp;cotton", "Soft cotton"),
    ("&amp;lt;b&amp;gt;Soft&amp;lt;/b&amp;gt;", "Soft"),
    ("Apparel & #038 Accessories", "Apparel & Accessories"),
    ("Apparel &#038; Accessories &#038", "Apparel & Accessories &"),
    ("H&M, AT&T and A&amp;F", "H&M, AT&T and A&F"),
    ("Size < 10 & > 3", "Size < 10 & > 3"),
    ("zero\u200bwidth\ufeff and soft\u00adhyphen", "zerowidth and softhyphen"),
    ("IndiWeaves\ufffd Women\ufffds", "IndiWeaves Women's"),
    ("nul\x00 and bell\x07", "nul and bell"),
    ("half a pair \ud83d of surrogates", "half a pair of surrogates"),
    ("Origin : China\\nMaterial : cotton\\n", "Origin : China. Material : cotton"),
    ("cafÃ© and itâ€™s", "café and it’s"),
    ("Robe à imprimé cœur", "Robe à imprimé cœur"),
    ("क्‍ष", "क्‍ष"),
    ("NA", ""),
    ("nan", ""),
    ("None", ""),
    ("#N/A", ""),
    (" - ", ""),
    ("NA-KD", "NA-KD"),
    ("Nonesuch", "Nonesuch"),
]
PROSE = [
    ("TSA lockOne handle on the top", "TSA lock. One handle on the top"),
    (
        "Display: AnalogueMovement: QuartzPower source: Battery",
        "Display: Analogue. Movement: Quartz. Power source: Battery",
    ),
    ("Water resistance: 50 mWarranty: 3 years", "Water resistance: 50 m. Warranty: 3 years"),
    ("churidar and\u00a0 dupattaBeige kurta", "churidar and dupatta. Beige kurta"),
    ("closure1 main compartment, Forever52 lip", "closure. 1 main compartment, Forever52 lip"),
    ("midfoot supportEVA midsole", "midfoot support. EVA midsole"),
    ("earrings,and has stones", "earrings, and has stones"),
    ("soft cotton.Made in India", "soft cotton. Made in India"),
    ("Thread count: 210Colour: Blue", "Thread count: 210. Colour: Blue"),
    ("Fits an iPhone, an iPad and a McDonald T-Shirt by DKNY", None),
    ("From EthnoVogue, YouTube and eBay; evoKNIT, pH 5, 3M, U.S. Polo Assn. and 4DFit", None),
    ("12.5cm x 3.5cm, e.g. S/M or XXL", None),
]


@pytest.mark.parametrize(("raw", "clean"), LINES)
def test_a_line_is_cleaned(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean


@pytest.mark.parametrize(("raw", "clean"), PROSE)
def test_glued_sentences_are_parted_and_names_are_not(raw: str, clean: str | None) -> None:
    assert clean_prose(raw) == (raw if clean is None else clean)


def test_words_of_the_name_and_brand_are_left_alone() -> None:
    assert clean_prose("The dressBerry top", ["dressBerry Women Top"]) == "The dressBerry top"
    assert clean_prose("The dressBerry top") == "The dress. Berry top"


@pytest.mark.parametrize("bytes_max", [8, 20, 33])
def test_a_cut_keeps_whole_words_and_the_limit(bytes_max: int) -> None:
    cut = cut_text("Übergroße Größen für überall und immer", bytes_max)
    assert len(cut.encode()) <= bytes_max and cut.endswith("…")
    assert "Übergroße Größen für überall und immer".startswith(cut[:-1])
    assert cut_text(cut, bytes_max) == cut


def test_a_short_text_is_not_cut() -> None:
    assert cut_text("été", 5) == "été"


def test_first_words_are_a_sentence_or_a_clause() -> None:
    assert first_words("Soft vest. Style it with jeans.") == "Soft vest"
    assert first_words("Black ribbed cotton vest top, slim fit, " + "very " * 30) == (
        "Black ribbed cotton vest top, slim fit"
    )
    assert first_words("word " * 60).startswith("word word") and len(first_words("word " * 60)) <= 80
    assert first_words("x" * 200) == "x" * 80


def test_squash_ignores_case_marks_and_accents() -> None:
    assert squash(" Product_ID ") == squash("productId") == "productid"
    assert squash("Désignation") == "designation"


_MARKUP = ("&amp;", "&lt;", "&#38;", "&#0", "&nbsp", "#038", "&", "<p>", "</p>", "<br", "<script>", "<!--", "-->", "\n")
_LETTERS = (
    "Ã©",
    "â€™",
    "Â",
    "é",
    "€",
    "\ufffd",
    "\u200d",
    "\x00",
    "\ud800",
    "lockOne",
    "A: ",
    ".B",
    ",x",
    "50 mWarranty:",
    " ",
)
_SNIPPETS = st.sampled_from(_MARKUP + _LETTERS)


@given(st.lists(st.one_of(_SNIPPETS, st.text(max_size=6)), max_size=14).map("".join))
def test_cleaning_is_idempotent_and_leaves_one_plain_line(raw: str) -> None:
    for clean in (clean_text, clean_prose):
        once = clean(raw)
        assert clean(once) == once
        assert not any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in once)
        assert once == once.strip() and "  " not in once


@given(st.text(max_size=200), st.integers(4, 300))
def test_a_cut_always_fits(raw: str, bytes_max: int) -> None:
    text = clean_text(raw)
    assert len(cut_text(text, bytes_max).encode()) <= bytes_max


@given(st.text("ab <&\\\t\n;é\u200b", max_size=12))
def test_text_that_looks_plain_needs_no_cleaning(text: str) -> None:
    if _is_plain(text):
        assert _settle(_plain_line, text) == text
