"""Thirty invented people: what each says of themselves, and the same thing as tastes.

A biography states some tastes in words, and `stated` and `avoided` state exactly those in the vocabulary's terms; a
test reads the biographies and holds the two together, both ways. What a biography leaves open is drawn by
`sim.tastes`. People of one style also share what they never wrote down. Nobody here exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

#: What a taste can be about that a biography can put into words. Price is "low" or "high".
Topic = Literal["category", "colour", "pattern", "fit", "price"]
Words = Mapping[Topic, tuple[str, ...]]

STYLES = ("quiet", "outdoor", "tailored", "street", "romantic", "bright")


@dataclass(frozen=True, slots=True)
class Persona:
    """One invented person. In each topic the first value is the dearest, or the most avoided."""

    name: str
    style: str
    bio: str
    stated: Words
    avoided: Words = field(default_factory=dict)


def _words(text: str) -> Words:
    """'colour: grey, black; fit: loose' as a table."""
    parts = (part.partition(": ") for part in text.split("; "))
    return {cast(Topic, topic): tuple(values.split(", ")) for topic, _, values in parts}


def _persona(name: str, style: str, bio: str, stated: str, avoided: str) -> Persona:
    return Persona(name, style, bio, _words(stated), _words(avoided))


PERSONAS: tuple[Persona, ...] = (
    _persona(
        "Ines", "quiet",
        "Conservator in a small museum who would rather be overlooked than the paintings: loose, plain things in grey,"
        " black or white. She pays for one good sweater instead of five, and a floral print drives her out of a shop.",
        "category: sweater; colour: grey, black, white; pattern: solid; fit: loose; price: high",
        "pattern: floral",
    ),
    _persona(
        "Tomas", "quiet",
        "Piano tuner who lives in trousers and a plain cardigan, always grey or navy, and pays for wool that lasts."
        " Anything with a graphic on it, he says, is out of tune.",
        "category: cardigan, trousers; colour: grey, navy; pattern: solid; price: high",
        "pattern: graphic",
    ),
    _persona(
        "Yuki", "quiet",
        "Runs a tea room in loose kurtas and trousers, white, beige or grey, as plain as the cups."
        " Camouflage in the street still puzzles her.",
        "category: kurta, trousers; colour: white, beige, grey; pattern: solid; fit: loose",
        "pattern: camouflage",
    ),
    _persona(
        "Bram", "quiet",
        "Programmer on the night shift with seven black t-shirts, all of them plain, all of them slim."
        " New clothes must be cheap and chosen in a minute, and nothing pink or yellow gets past the door.",
        "category: t-shirt; colour: black; pattern: solid; fit: slim; price: low",
        "colour: pink, yellow",
    ),
    _persona(
        "Salma", "quiet",
        "Radiologist with a navy or black coat for every kind of cold, fitted, plain, and she pays for a good lining"
        " without a second thought. Presents in tie-dye she gives away unopened.",
        "category: coat; colour: navy, black; pattern: solid; fit: slim; price: high",
        "pattern: tie-dye",
    ),
    _persona(
        "Greta", "outdoor",
        "Forest ranger in olive and brown, in checked shirts and in boots that have seen every season."
        " She likes things roomy enough to climb in and finds pink useless against mud.",
        "category: shirt, boots; colour: olive, brown; pattern: checked; fit: loose",
        "colour: pink",
    ),
    _persona(
        "Henrik", "outdoor",
        "Beekeeper who owns three jackets, all denim, and wears jeans to every hive. He likes brown and green,"
        " buys cheap, mends what tears, and has no use for polka dots.",
        "category: jacket, jeans; colour: brown, green; pattern: denim; price: low",
        "pattern: polka dot",
    ),
    _persona(
        "Wanjiru", "outdoor",
        "Geologist who packs shorts, boots and a lot of camouflage for the field, because olive and beige hide the"
        " dust. Heels would not last a morning out there.",
        "category: shorts, boots; colour: olive, beige; pattern: camouflage",
        "category: heels",
    ),
    _persona(
        "Mateo", "outdoor",
        "Mountain guide who pays whatever a good jacket costs: orange so that he is found, navy for the rest of the"
        " time. He likes striped wool and a slim cut below the ropes, and has never understood tie-dye.",
        "category: jacket; colour: orange, navy; pattern: striped; fit: slim; price: high",
        "pattern: tie-dye",
    ),
    _persona(
        "Linnea", "outdoor",
        "Gardener in cargo pants and loose sweaters, mostly green, brown or olive, and checked when it is Sunday."
        " Anything white ends up on the compost.",
        "category: cargo pants, sweater; colour: green, brown, olive; pattern: checked; fit: loose",
        "colour: white",
    ),
    _persona(
        "Priya", "tailored",
        "Barrister with a row of blazers and trousers, navy or black, striped when the judge is old-fashioned and slim"
        " when she means to win. She pays for tailoring and leaves anything graphic to her nephews.",
        "category: blazer, trousers; colour: navy, black; pattern: striped; fit: slim; price: high",
        "pattern: graphic",
    ),
    _persona(
        "Olivier", "tailored",
        "Concierge of a grand hotel who collects formal shoes and checked suits in burgundy or navy, and pays for what"
        " outlives him. Sandals, he feels, belong to other people's beaches.",
        "category: suit, formal shoes; colour: burgundy, navy; pattern: checked; price: high",
        "category: sandals",
    ),
    _persona(
        "Adaeze", "tailored",
        "Auditor whose week is a white blouse and a grey skirt, plain and slim, the seams as straight as the books."
        " Camouflage, to her, is something that bad accounts wear.",
        "category: blouse, skirt; colour: white, grey; pattern: solid; fit: slim",
        "pattern: camouflage",
    ),
    _persona(
        "Kenji", "tailored",
        "Sells violins in a slim suit, light blue or grey, over a striped shirt."
        " In private he takes the hoodie for a sign of decline.",
        "category: suit, shirt; colour: light blue, grey; pattern: striped; fit: slim",
        "category: hoodie",
    ),
    _persona(
        "Camille", "tailored",
        "Estate agent in burgundy heels and checked blazers, black on Mondays, polished from eight to eight."
        " She pays the cobbler before the landlord and leaves anything yellow on the hanger.",
        "category: blazer, heels; colour: burgundy, black; pattern: checked; price: high",
        "colour: yellow",
    ),
    _persona(
        "Dario", "street",
        "Skates to his job in a record shop in a loose hoodie with a graphic on it, black or purple, cheap enough to"
        " fall in. A blazer is what the bank wears.",
        "category: hoodie; colour: black, purple; pattern: graphic; fit: loose; price: low",
        "category: blazer",
    ),
    _persona(
        "Zuri", "street",
        "Dance teacher in oversized t-shirts and cargo pants, tie-dye whenever she can find it."
        " Orange and yellow keep the class awake; grey sends it to sleep.",
        "category: t-shirt, cargo pants; colour: orange, yellow; pattern: tie-dye; fit: loose",
        "colour: grey",
    ),
    _persona(
        "Jun", "street",
        "Games tester with forty pairs of sneakers and a jacket in camouflage, red or black, who pays silly sums for"
        " whatever is rare. Formal shoes give him blisters in the shop already.",
        "category: sneakers, jacket; colour: red, black; pattern: camouflage; price: high",
        "category: formal shoes",
    ),
    _persona(
        "Noor", "street",
        "Bakes at night and sleeps by day in the same loose hoodie, graphic in front and flour behind; blue, purple,"
        " and sneakers below. She hunts for bargains and has never met a blouse that survived her oven.",
        "category: hoodie, sneakers; colour: blue, purple; pattern: graphic; fit: loose; price: low",
        "category: blouse",
    ),
    _persona(
        "Felix", "street",
        "Bicycle courier in shorts and tank tops all year, graphic if possible, green or orange so that cars notice."
        " He is on a budget, and a coat only slows him down.",
        "category: shorts, tank top; colour: green, orange; pattern: graphic; price: low",
        "category: coat",
    ),
    _persona(
        "Elodie", "romantic",
        "Florist who answers every weather with a floral dress and a pink cardigan, and counts red among the neutrals."
        " Nothing in camouflage has ever entered her wardrobe.",
        "category: dress, cardigan; colour: pink, red; pattern: floral",
        "pattern: camouflage",
    ),
    _persona(
        "Rosa", "romantic",
        "Primary teacher in a polka dot skirt and a blouse, red or white, all of it found cheap at the market."
        " Her pupils know that she finds black sad.",
        "category: skirt, blouse; colour: red, white; pattern: polka dot; price: low",
        "colour: black",
    ),
    _persona(
        "Sunita", "romantic",
        "Choreographer in floral kurtas, purple or pink, loose enough to turn in, with sandals by every door."
        " She has never sat comfortably in jeans.",
        "category: kurta, sandals; colour: purple, pink; pattern: floral; fit: loose",
        "category: jeans",
    ),
    _persona(
        "Hugo", "romantic",
        "Poet who reads in floral shirts and a burgundy cardigan, slim, and found on the cheap rail."
        " Checked cloth reminds him of the insurance office that he left.",
        "category: shirt, cardigan; colour: burgundy; pattern: floral; fit: slim; price: low",
        "pattern: checked",
    ),
    _persona(
        "Bea", "romantic",
        "Illustrator of children's books in light blue dresses and soft cardigans, floral or polka dot, who pays for"
        " real buttons. Olive makes her think of the army.",
        "category: dress, cardigan; colour: light blue; pattern: floral, polka dot; price: high",
        "colour: olive",
    ),
    _persona(
        "Lupe", "bright",
        "Paints murals in a yellow jumpsuit and orange sneakers, with tie-dye on feast days."
        " Grey is what walls are before she arrives.",
        "category: jumpsuit, sneakers; colour: yellow, orange; pattern: tie-dye",
        "colour: grey",
    ),
    _persona(
        "Kofi", "bright",
        "Radio host in red or yellow shirts, striped or checked, loose, the louder the better; he pays his tailor"
        " promptly. Black he avoids on principle.",
        "category: shirt; colour: red, yellow; pattern: striped, checked; fit: loose; price: high",
        "colour: black",
    ),
    _persona(
        "Marisol", "bright",
        "Swimming coach in leggings and tank tops, striped, blue or green like the pool, everything slim and dry by"
        " noon. She shops on a budget and dreads the first sweater of the year.",
        "category: leggings, tank top; colour: blue, green; pattern: striped; fit: slim; price: low",
        "category: sweater",
    ),
    _persona(
        "Arno", "bright",
        "Retired stage magician in purple blazers and polka dot shirts who still pays for a good entrance."
        " Beige he considers a trick that failed.",
        "category: blazer, shirt; colour: purple; pattern: polka dot; price: high",
        "colour: beige",
    ),
    _persona(
        "Tove", "bright",
        "Sells waffles in a pink or light blue polo, striped like the awning, loose in the July heat."
        " Her clothes are cheap and cheerful, and coats can wait.",
        "category: polo; colour: pink, light blue; pattern: striped; fit: loose; price: low",
        "category: coat",
    ),
)  # fmt: skip
