"""Text as shops export it, to one line of plain text.

Undoes what exports do to words: HTML, entities escaped twice, control and zero-width characters, Windows-1252
read as UTF-8, sentences glued together when their line breaks were lost. It changes no word that it does not
have to, and is idempotent: cleaning clean text returns it. It knows nothing of columns, prices or shops.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Collection

# Cells that spell "nothing", in the words of pandas, SQL, JavaScript and spreadsheets.
_NOTHING_WORDS = "na n/a n.a. #n/a #na <na> nan none null (null) nil undefined - -- --- . ? _"
_NOTHING = frozenset(_NOTHING_WORDS.split()) | {"not available"}
# A cell is read this far. Descriptions keep 2,000 bytes, so the rest could only be markup around them.
CELL_LETTERS_MAX = 65_536
# Letters of clean prose in which sentences are parted; a description keeps 2,000 bytes of them.
_PROSE_LETTERS_MAX = 8_192
# Longer runs of letters are no words, glued or not.
_RUN_LETTERS_MAX = 80
# Cleaning repeats until nothing changes; markup nested deeper than this is no shop's.
_ROUNDS_MAX = 12

# What opens a part that is no text, and what closes it.
_NO_TEXT = tuple(
    (re.compile(opening, re.IGNORECASE), re.compile(closing, re.IGNORECASE))
    for opening, closing in (("<!--", "-->"), ("<script", r"</script\s?>"), ("<style", r"</style\s?>"))
)
_MARKS = re.compile(r"[^\w]|_")
_LINE_END = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
# A line break that somebody's program spelled out: "Country of Origin : China\\nMaterial : 100% cotton".
_SPELLED_BREAK = re.compile(r"\\r\\n|\\[nrt](?![a-z])")
_BREAK = re.compile(
    r"(?i)</?(?:p|br|div|li|ul|ol|tr|table|tbody|td|th|h[1-6]|dl|dt|dd|section|article|blockquote|hr)(?:\s[^<>]*)?/?>"
)
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9:-]*(?:\s[^<>]*)?/?>|<![A-Za-z][^<>]*>")
_ESCAPED_AMPERSANDS = re.compile(r"&(?:\s?(?:amp;|#0*38(?:;|(?![0-9]))|#[xX]0*26(?:;|(?![0-9A-Fa-f]))))+")
_LOOSE_NUMERIC = re.compile(r"&\s(?=#[0-9]{2,5}\b)")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7};?|#[xX][0-9A-Fa-f]{1,6};?|[A-Za-z][A-Za-z0-9]{1,31};)")
_INVISIBLE = re.compile("[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufff9-\ufffb]")
# Joiners carry meaning inside Indic words and emoji, and none beside an ASCII letter or a space.
_STRAY_JOINER = re.compile("(?:(?<=[\x00-\x7f])|(?<![^\\s]))[\u200c\u200d]+|[\u200c\u200d]+(?=[\x00-\x7f]|$)")
_LOST_APOSTROPHE = re.compile("(?<=[^\\W\\d_])\ufffd(?=(?:s|t|re|ll|ve|d|m)\\b)")


def clean_text(text: str) -> str:
    """One line of plain text, or "" where the cell says nothing."""
    if not _is_plain(text):
        text = _settle(_plain_line, text[:CELL_LETTERS_MAX])
    return "" if text.casefold() in _NOTHING else text


def clean_prose(text: str, names: Collection[str] = ()) -> str:
    """As `clean_text`, and with glued sentences parted: "TSA lockOne handle" -> "TSA lock. One handle".

    `names` are texts (the product's name and brand) whose words are left as they are: "DressBerry".
    """
    kept = {word for name in names for word in _WORD.findall(name)}
    clean = clean_text(text)[:_PROSE_LETTERS_MAX].rstrip()
    return clean_text(_settle(lambda line: _part_sentences(line, kept), clean))


def cut_text(text: str, bytes_max: int) -> str:
    """The text, or as many of its words as fit into `bytes_max` bytes of UTF-8 with an ellipsis."""
    data = text.encode("utf-8", "replace")
    if len(data) <= bytes_max:
        return text
    room = data[: bytes_max - len("…".encode())].decode("utf-8", "ignore")
    # A text without spaces (Japanese, a serial number) is cut between letters.
    words = room.rpartition(" ")[0]
    kept = words if len(words) >= len(room) // 2 else room
    return kept.rstrip(" ,;:.-–—(&/") + "…"


def first_words(text: str, letters_max: int = 80) -> str:
    """The first sentence or clause of a description, to stand in for a missing name."""
    sentence = re.split(r"(?<=[^\W\d])[.!?](?:\s|$)", text, maxsplit=1)[0]
    if len(sentence) > letters_max:
        clause = re.split(r"[,;:]\s", sentence[: letters_max + 1])
        sentence = ", ".join(clause[:-1]) if len(clause) > 1 else sentence[:letters_max].rpartition(" ")[0]
    return (sentence or text[:letters_max]).strip(" ,;:.")


def squash(text: str) -> str:
    """The letters and digits alone, without case and accents: how column names and brands are compared."""
    if not text.isascii():
        text = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return _MARKS.sub("", text.casefold())


def _settle(change: Callable[[str], str], text: str) -> str:
    """Apply a change until it changes nothing."""
    for _ in range(_ROUNDS_MAX):
        changed = change(text)
        if changed == text:
            break
        text = changed
    return text


def _is_plain(text: str) -> bool:
    """Whether cleaning would find nothing to do: most cells, and looking is ten times quicker than trying."""
    return (
        text.isascii()
        and text.isprintable()
        and "  " not in text
        and not any(mark in text for mark in "<&\\")
        and len(text) <= CELL_LETTERS_MAX
        and text.strip() == text
    )


def _plain_line(text: str) -> str:
    if "<" in text:
        text = _without_code(text)
        text = _BREAK.sub("\n", text)
        text = _TAG.sub("", text)
    if "\\" in text:
        text = _SPELLED_BREAK.sub("\n", text)
    if "&" in text:
        text = _ESCAPED_AMPERSANDS.sub("&", text)
        text = _LOOSE_NUMERIC.sub("&", text)
        text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    if not text.isascii():
        text = _mend_letters(text)
    if not text.isprintable():
        text = _join_lines(text)
    return re.sub(r"\s+", " ", text).strip()


def _without_code(text: str) -> str:
    """Drop comments, scripts and styles whole. What is never closed is no more than an odd tag."""
    for opening, closing in _NO_TEXT:
        kept, start = [], 0
        while (begin := opening.search(text, start)) and (end := closing.search(text, begin.end())):
            kept.append(text[start : begin.start()])
            start = end.end()
        text = " ".join([*kept, text[start:]])
    return text


def _mend_letters(text: str) -> str:
    text = _unscramble(unicodedata.normalize("NFC", text))
    text = _INVISIBLE.sub("", text)
    text = _STRAY_JOINER.sub("", text)
    text = _LOST_APOSTROPHE.sub("'", text)
    return text.replace("\ufffd", "")


def _unscramble(text: str) -> str:
    """UTF-8 that was read as Windows-1252 ("Ã©", "â€™") back to what it was, where that is possible."""
    if not re.search("[ÂÃâ][\u0080-\u00bf\u0152-\u2122]", text):
        return text
    try:
        return text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return text


def _join_lines(text: str) -> str:
    """Line breaks to sentence ends, other control characters to spaces, what is no letter at all to nothing."""
    lines = [_without_controls(line).strip().strip("•·* ") for line in _LINE_END.split(text)]
    joined = ""
    for line in (line for line in lines if line):
        if joined and joined[-1] not in ".!?:;,-–—…•" and not line[0].islower():
            joined += "."
        joined += (" " if joined else "") + line
    return joined


def _without_controls(line: str) -> str:
    if line.isprintable():
        return line
    categories = ((letter, unicodedata.category(letter)) for letter in line)
    return "".join(
        " " if category == "Cc" else letter for letter, category in categories if category not in ("Cs", "Cn", "Co")
    )


_WORD = re.compile(r"[^\W\d_]+")
# What opens a sentence that lost the line break before it, when the word before it is capitalised as well.
_OPENER_WORDS = (
    "The This These It Its Has Comes Made One Two Three Four Five Six With Warranty Disclaimer Features Pattern"
    " Material Colour Color Package Machine Hand Wash Do Not For Suitable Best Secured What"
)
_OPENERS = frozenset(_OPENER_WORDS.split())
_LABEL = re.compile(r"[^\W\d_]+(?: [^\W\d_][\w-]*){0,3}:")
_TIGHT_STOP = re.compile(r"(?<=[^\W\d_A-Z]{2})([.!?])(?=[A-Z][a-z])")
_TIGHT_COLON = re.compile(r"(?<=[a-z?]):(?=[A-Z][a-z])")
_TIGHT_COMMA = re.compile(r"(?<=[a-z]),(?=[a-z]{2})")
_AFTER_BRACKET = re.compile(r"(?<=[)\]%])(?=[A-Z][a-z]+[ :])")
_AFTER_NUMBER = re.compile(r"(?<=\b[0-9]{2})(?=[A-Z][a-z]{2,}[ :])|(?<=[0-9]{3})(?=[A-Z][a-z]{2,}[ :])")
_NUMBER_AFTER_WORD = re.compile(r"(?<![^\W_])([a-z]{4,})(?=[0-9]{1,2} [a-z]{3})")


def _part_sentences(text: str, kept: Collection[str]) -> str:
    text = _WORD.sub(lambda word: _part_word(text, word, kept), text)
    text = _AFTER_BRACKET.sub(". ", text)
    text = _AFTER_NUMBER.sub(". ", text)
    text = _NUMBER_AFTER_WORD.sub(r"\1. ", text)
    text = _TIGHT_STOP.sub(r"\1 ", text)
    text = _TIGHT_COLON.sub(": ", text)
    return _TIGHT_COMMA.sub(", ", text)


def _part_word(text: str, match: re.Match[str], kept: Collection[str]) -> str:
    """A run of letters, parted where a lower-case letter meets a new sentence's capital.

    A run that starts in lower case ("lockOne") is two words; one that starts with a capital ("DressBerry") is a
    name, unless a label ("Movement:") or a word that opens sentences follows ("RegularThe"). A single letter
    before the capital ("iPhone") never stands alone, except the metre of "50 mWarranty:".
    """
    word = match[0]
    if word.islower() or word[1:].islower() or word.isupper() or word in kept or len(word) > _RUN_LETTERS_MAX:
        return word
    parts, start = [], 0
    for at in range(1, len(word)):
        if not (word[at - 1].islower() and word[at].isupper()):
            continue
        left, right = word[start:at], word[at:]
        if right.isupper():
            # "supportEVA", "closureA pair"; not "evoKNIT", "pH", "isA".
            parted = len(left) > 3 and left[0].islower()
        else:
            label = _LABEL.match(text, match.start() + at) is not None
            metre = left == "m" and start == 0 and text[: match.start()].rstrip()[-1:].isdigit()
            parted = label if metre else len(left) > 1 and (left[0].islower() or label or right in _OPENERS)
        if parted:
            parts.append(left)
            start = at
    return ". ".join([*parts, word[start:]])
