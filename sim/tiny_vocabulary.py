"""The tiny encoder's word pieces: CLIP's own byte-pair merges, cut down to what shops need.

CLIP's list has 48,894 merges, and an embedding row for each would be twice the size of the whole tiny encoder.
Kept are the most frequent merges of general English and every merge needed so that the words of shop texts
split exactly as in CLIP. The alphabet is bytes, so no text is unreadable; a rare word only becomes more pieces.
The list derives from OpenAI CLIP's (MIT licence).
"""

from __future__ import annotations

import gzip
import random
import re
from itertools import pairwise
from pathlib import Path

from sim.captions import canonical_caption, caption
from sim.vocabulary import Audience, sample_garment

#: CLIP's first merges, kept whatever they are for.
GENERAL_MERGES = 1000
_CAPTIONS_READ = 6000
_AUDIENCES: tuple[Audience | None, ...] = ("women", "men", None)
#: Words of real shop texts that the captions never use.
_SHOP_WORDS = """
saree lehenga salwar kameez sherwani dhoti dupatta jacket waistcoat vest bra underwear socks scarf hat cap belt bag
handbag backpack watch heels flats slippers sunglasses jewelry bracelet necklace sweatshirt tunic capris joggers
silver gold golden turquoise teal mint coral ivory peach magenta charcoal rust mustard khaki multicolor colorful
pastel dark light bright pale leather suede velvet satin lace mesh nylon spandex elastane rayon chiffon corduroy
tweed cashmere organic recycled stretch quilted padded embroidered sequin printed logo slogan
waist waisted high low rise wide leg straight skinny tapered bootcut flared pleated wrap peplum ruffle tiered button
zipper zip pocket pockets collar hooded sleeve sleeves neck neckline round crew drawstring elastic lining lapel hem
cuff strap straps office work wedding party beach travel school gym running yoga sport training formal festive
evening date night outdoor rain winter autumn spring summer cold warm breathable waterproof lightweight heavy soft
cozy machine wash gentle care brand new collection size fits true model wears women woman men man girls boys kids
baby unisex adult ladies gentlemen male female bohemian
"""


def domain_words() -> set[str]:
    """Every word of a few thousand captions, and of shop texts beyond them; lower case."""
    rng = random.Random("words of the captions")
    words = set(_SHOP_WORDS.split())
    for _ in range(_CAPTIONS_READ):
        garment = sample_garment(rng)
        audience = rng.choice(_AUDIENCES)
        text = f"{canonical_caption(garment)} {caption(garment, rng, audience=audience, partial_share=0.1)}"
        words |= set(re.findall(r"[a-z]+", text.lower()))
    return words


def merges_needed(word: str, ranks: dict[tuple[str, str], int]) -> set[tuple[str, str]]:
    """The merges that byte-pair encoding applies to one word."""
    pieces = [*word[:-1], word[-1] + "</w>"]
    used: set[tuple[str, str]] = set()
    while len(pieces) > 1:
        best = min(pairwise(pieces), key=lambda pair: ranks.get(pair, len(ranks)))
        if best not in ranks:
            break
        used.add(best)
        merged: list[str] = []
        for piece in pieces:
            # A piece just merged can't be the left half again: it is longer than best[0].
            if merged and (merged[-1], piece) == best:
                merged[-1] += piece
            else:
                merged.append(piece)
        pieces = merged
    return used


def pruned_merges(ranks: dict[tuple[str, str], int]) -> list[tuple[str, str]]:
    """The kept merges in CLIP's order."""
    needed = {merge for word in sorted(domain_words()) for merge in merges_needed(word, ranks)}
    return [merge for merge in sorted(ranks, key=ranks.__getitem__) if ranks[merge] < GENERAL_MERGES or merge in needed]


def vocabulary_size(merges: list[tuple[str, str]]) -> int:
    """Tokens of a tokenizer with these merges: 256 bytes, each also at a word's end, merges, start and end marks."""
    return 2 * 256 + len(merges) + 2


def save_merges(merges: list[tuple[str, str]], file: Path) -> None:
    """Write the list as open_clip reads it. A trailing newline would become an empty merge, so there is none."""
    text = "#version: 0.2 pruned\n" + "\n".join(" ".join(merge) for merge in merges)
    file.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
