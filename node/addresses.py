"""What a web address says: the true product page behind a tracking link, its shop, id, variant and currency.

The large shops write a product's id, colour and country into the path; affiliate networks wrap that address in
their own. This is knowledge of addresses only: nothing is fetched, and an unknown shop's address says nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlsplit, urlunsplit

from protocol import limits
from protocol.records import CONTROL

# Where affiliate networks keep the address that they lead to: Rakuten LinkShare, CJ, Awin, ShareASale, Skimlinks.
_TARGET_PARAMETERS = ("murl", "u", "ued", "url", "urllink", "dest", "destination", "redirect", "p")
# Parameters that follow a visitor rather than name a page.
_TRACKING = re.compile(
    r"(?i)(?:utm_|ist[A-Z]|pf_rd_|pd_rd_)|^(?:gclid|fbclid|msclkid|dclid|mc_[ce]id|cid|searchquery|channelref|mk|ref"
    r"|ref_|tag|affid|affiliate|browsecountry|currencyid|qid|sr|s|keywords|_encoding|psc|sprefix|crid|dib|dib_tag)$"
)
# Browsers and servers give up at about this length; tracking links nest three addresses in less.
_ADDRESS_LETTERS_MAX = 8_192
_SHOPIFY_PATH = re.compile(r"/products/([a-z0-9][a-z0-9_-]{2,})$")
_ASOS_COUNTRY = {
    "us": "USD", "fr": "EUR", "de": "EUR", "it": "EUR", "es": "EUR", "nl": "EUR", "ie": "EUR", "au": "AUD",
    "dk": "DKK", "se": "SEK", "pl": "PLN", "ru": "RUB",
}  # fmt: skip
_AMAZON_COUNTRY = {
    "in": "INR", "com": "USD", "co.uk": "GBP", "de": "EUR", "fr": "EUR", "it": "EUR", "es": "EUR", "nl": "EUR",
    "ie": "EUR", "ca": "CAD", "co.jp": "JPY", "com.au": "AUD", "com.mx": "MXN", "com.br": "BRL", "ae": "AED",
    "sa": "SAR", "sg": "SGD", "se": "SEK", "pl": "PLN", "com.tr": "TRY",
}  # fmt: skip
_HM_COUNTRY = {
    "gb": "GBP", "us": "USD", "in": "INR", "fr": "EUR", "de": "EUR", "it": "EUR", "es": "EUR", "nl": "EUR",
    "ie": "EUR", "se": "SEK", "dk": "DKK", "no": "NOK", "pl": "PLN", "ch": "CHF", "jp": "JPY", "ca": "CAD",
}  # fmt: skip
_NO_COLOUR = ("no-colour", "nocolour", "no-color", "n-a")


@dataclass(frozen=True, slots=True)
class Page:
    """A product page. Empty where the address does not say."""

    url: str
    item: str = ""
    variant: str = ""
    brand: str = ""
    currency: str = ""


NO_PAGE = Page("")


def clean_url(text: str) -> str:
    """A plain http address that fits a record, or "": whatever else a shop put into the cell is no address."""
    text = re.sub(r"&amp;", "&", text.strip().strip("\"'<>"))
    if text.startswith("//"):
        text = "https:" + text
    elif re.match(r"www\.[\w-]+\.\w", text):
        text = "https://" + text
    if not re.match(r"(?i)https?://[^/?#\s]*\w", text):
        return ""
    if CONTROL.search(text):
        return ""
    text = re.sub(r"\s", "%20", text)
    return text if len(text.encode()) <= limits.URL_BYTES_MAX and _split(text) is not None else ""


def read_page(text: str) -> Page:
    """The product page that an address leads to, without what only follows visitors."""
    text = text.strip()
    parts = _split(_target(text)) if len(text) <= _ADDRESS_LETTERS_MAX else None
    if parts is None:
        return NO_PAGE
    query = "&".join(pair for pair in parts.query.split("&") if pair and not _TRACKING.search(pair.partition("=")[0]))
    url = clean_url(urlunsplit((parts.scheme, parts.netloc, parts.path, query, "")))
    if not url:
        # Shops put long words into an address to please search engines; the path alone may still fit.
        url = clean_url(urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")))
    if not url:
        return NO_PAGE
    return _known_shop(url, parts)


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        return parts if parts.hostname else None
    except ValueError:
        return None


def _target(url: str) -> str:
    """The address inside a tracking link, or the address itself. Links are nested at most twice in practice."""
    for _ in range(2):
        parts = _split(url) if "?" in url else None
        if parts is None:
            return url
        try:
            asked = dict(parse_qsl(parts.query, max_num_fields=100))
        except ValueError:
            return url
        inner = next((asked[name] for name in _TARGET_PARAMETERS if re.match(r"https?://", asked.get(name, ""))), None)
        if inner is None and parts.path.startswith("/sspa/click") and asked.get("url", "").startswith("/"):
            # Amazon's sponsored links lead to another page of the same shop.
            inner = f"{parts.scheme}://{parts.netloc}{asked['url']}"
        if inner is None:
            return url
        url = inner
    return url


def _known_shop(url: str, parts: SplitResult) -> Page:
    host = (parts.hostname or "").removeprefix("www.").removeprefix("www2.").removeprefix("m.")
    path = parts.path
    if host == "asos.com" or host.endswith(".asos.com"):
        return _asos(url, host, parts)
    if host.startswith("amazon.") and (found := re.search(r"/(?:dp|gp/product)/([A-Z0-9]{10})(?:/|$)", path)):
        page = f"https://{parts.netloc}{path[: found.end()].rstrip('/')}"
        return Page(page, item=found[1], currency=_AMAZON_COUNTRY.get(host.removeprefix("amazon."), ""))
    if host == "hm.com" and (found := re.search(r"productpage\.([0-9]{7,12})", path)):
        country = re.match(r"/[a-z]{2}_([a-z]{2})/", path)
        return Page(url, item=found[1], currency=_HM_COUNTRY.get(country[1] if country else "", ""))
    if host == "myntra.com" and (found := re.search(r"/([0-9]{3,12})(?:/buy)?/?$", path)):
        return Page(url, item=found[1], currency="INR")
    if found := _SHOPIFY_PATH.search(path):
        return Page(url, item=found[1])
    return Page(url)


def _asos(url: str, host: str, parts: SplitResult) -> Page:
    """/[country/]brand-name/name-of-product/prd/12345?clr=white&colourWayId=678; "grp" is a set sold together."""
    segments = [segment for segment in parts.path.split("/") if segment]
    country = host.removesuffix("asos.com").rstrip(".")
    if segments and segments[0] in _ASOS_COUNTRY:
        country = segments.pop(0)
    found = re.search(r"/(?:prd|grp)/([0-9]{3,12})", parts.path)
    asked = dict(parse_qsl(parts.query))
    variant = slug(asked.get("clr", "") or asked.get("colourWayId", ""))
    return Page(
        url,
        item=found[1] if found else "",
        variant=variant if found and variant not in _NO_COLOUR else "",
        brand=segments[0] if found and len(segments) > 2 else "",
        currency=_ASOS_COUNTRY.get(country, "GBP" if country in ("", "gb") else ""),
    )


def slug(text: str) -> str:
    """Words as an address writes them: "Stone & Navy" -> "stone-navy"."""
    return re.sub(r"[^\w]+|_", "-", text.casefold()).strip("-")
