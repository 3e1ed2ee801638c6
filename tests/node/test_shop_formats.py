"""Which columns are which export, and how each known export's rows read: one small file a format, with its quirks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.addresses import Page, read_page
from node.attributes import gender_in, leaf_category, plain_colour
from node.importers import FORMATS, Product, Rejection, open_export
from node.shop_formats import find_shape, plain_column

HEADERS = {
    "linkshare": "LINK CODE,ADVERTISER,LINK NAME,LINK ID,RETAIL PRICE,CATEGORY,,,,,,",
    "myntra-men": ",SERIAL NO,NAME,CATEGORY,DESCRIPTION & COLOR,FABRIC,IMAGE,SIZE,PRICE,PRODUCT ID,WEBSITE,PRODUCT URL",
    "myntra-styles": "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName",
    "myntra-catalog": "Product_ID,Product_Name,Product_Brand,Gender,Price,Num_Images,Description,Primary_Color,",
    "asos-fr": "Product_URL,Brand,Collection,Category,Color,Designation,Description,Product Code,Current Price",
    "prefixed": "HnM_Name,HnM_Price (£),HnM_Color,HnM_Category,HnM_URL_Link",
    "amazon": "name,main_category,sub_category,image,link,ratings,no_of_ratings,discount_price,actual_price",
    "hm-articles": "article_id,prod_name,product_type_name,colour_group_name,index_group_name,detail_desc",
    "generic": "Artikelnummer;Bezeichnung;Preis;Farbe",
}
OTHERS = [
    "userId,movieId,rating,timestamp",
    "userId,movieId,tag,timestamp",
    "movieId,imdbId,tmdbId",
    "movieId,title,genres",
    "t_dat,customer_id,article_id,price,sales_channel_id",
    "user_id,asin,title,rating,text",
    "filename;link",
    "date,temperature,rain",
    "name,age,email",
    "Alex,Morgan,Taylor",
]


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "export.data"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def products_of(path: Path, **options: str) -> list[Product]:
    results = list(open_export(path, **options))  # type: ignore[arg-type]
    assert not [result for result in results if isinstance(result, Rejection)]
    return [result for result in results if isinstance(result, Product)]


@pytest.mark.parametrize(("name", "header"), HEADERS.items())
def test_a_header_is_recognised(name: str, header: str) -> None:
    shape = find_shape(tuple(header.replace(";", ",").split(",")))
    assert shape is not None and shape.format.name == name
    assert name in FORMATS


@pytest.mark.parametrize("header", OTHERS)
def test_other_tables_are_no_catalog(header: str) -> None:
    assert find_shape(tuple(header.split(","))) is None


@pytest.mark.parametrize(
    ("column", "plain"),
    [
        ("Product_ID", "productid"),
        ("productDisplayName", "productdisplayname"),
        ("Price (£)", "price"),
        ("price_inr", "price"),
        ("Price in EUR", "price"),
        ("Désignation", "designation"),
        ("EUR", "eur"),
        ("DESCRIPTION & COLOR", "descriptioncolor"),
    ],
)
def test_plain_column_names(column: str, plain: str) -> None:
    assert plain_column(column) == plain


def test_linkshare_is_read_by_its_cells(tmp_path: Path) -> None:
    target = "http%3A%2F%2Fus.asos.com%2Fasos-design%2Fasos-design-cami-dress%2Fprd%2F12719118%3F%26browseCountry%3DUS"
    click = f"https://click.linksynergy.com/link?id=F&offerid=324006.14625634666&type=2&murl={target}"
    pixel = "https://ad.linksynergy.com/fs-bin/show?id=F&bids=324006.14625634666&type=2&subid=0"
    picture = "http://images.asos-media.com/12719118/brown/image1xxl.jpg"
    html = f'"<a href=""{click}""><IMG border=0 src=""{picture}"" ></a><IMG width=1 src=""{pixel}"" >"'
    row = f"{html},ASOS (USA),ASOS DESIGN cami dress - Light Blue,,,14625634666,48,Apparel & #038 Accessories,,Image"
    shifted = (
        f"{html},,ASOS (USA),ASOS DESIGN cami dress - Red,,14625634667,$1.50,Apparel,,,{click},{picture},{pixel}, >"
    )
    path = write(tmp_path, HEADERS["linkshare"], f"{row},,{click}", "," * 11, shifted)
    first, empty, second = open_export(path)
    assert isinstance(first, Product) and isinstance(empty, Rejection) and isinstance(second, Product)
    item = first.item
    assert (item.item, item.name, item.price_minor, item.currency) == (
        "12719118",
        "ASOS DESIGN cami dress - Light Blue",
        4800,
        "USD",
    )
    assert (item.colour, item.brand, item.category) == ("Light Blue", "ASOS DESIGN", "Apparel & Accessories")
    assert item.page_url == "http://us.asos.com/asos-design/asos-design-cami-dress/prd/12719118"
    assert first.pictures == (picture,) and item.image_url == picture
    assert empty.reason == "empty_row"
    assert (second.item.item, second.item.price_minor) == ("12719118-red", 150)


def test_linkshare_of_a_shop_with_words_for_addresses_keeps_the_link_id(tmp_path: Path) -> None:
    click = (
        "https://click.linksynergy.com/link?offerid=5.{}&murl=https%3A%2F%2Fwww.storets.com%2Fproducts%2Ftrinity-top"
    )
    rows = [
        f'"<a href=""{click.format(n)}""></a>",JAE,TRINITY TOP,,,{n},64.9,Apparel' for n in (1397682822, 1397682823)
    ]
    products = products_of(write(tmp_path, HEADERS["linkshare"], *rows))
    assert [product.item.item for product in products] == ["1397682822", "1397682823"]
    assert products[0].item.page_url == "https://www.storets.com/products/trinity-top"


def test_myntra_men_search_engine_text(tmp_path: Path) -> None:
    text = (
        "HIGHLANDER Men Navy & Red Shirt, slim,  HIGHLANDER, Shirts, Topwear, Apparel, Apparel for Men,"
        " Buy HIGHLANDER Men Navy & Red Shirt, slim Online in India, Buy Shirts at best price"
    )
    url = "https://www.myntra.com/shirts/highlander/a-shirt/2336927/buy"
    cells = f'1,2,"HIGHLANDER Men Navy & Red Shirt, slim",casual-shirts,"{text}",Cotton ,https://a.example/x.jpg'
    row = f"{cells},The model (height 6') is wearing a size 40, 839,2336927,Myntra,{url}"
    item = products_of(write(tmp_path, HEADERS["myntra-men"], row))[0].item
    assert (item.item, item.brand, item.category, item.gender) == ("2336927", "HIGHLANDER", "Shirts", "men")
    assert (item.price_minor, item.currency, item.colour) == (83900, "INR", "Navy & Red")
    assert item.description == "Shirts, Topwear, Apparel, Apparel for Men. Fabric: Cotton"
    assert item.page_url == url


def test_myntra_styles_without_price(tmp_path: Path) -> None:
    header = HEADERS["myntra-styles"]
    rows = [
        "15970,Men,Apparel,Topwear,Shirts,Navy Blue,Fall,2011,NA,Check Shirt",
        "7,Girls,Home,NA,NA,NA,,,NA,Towel, red",
    ]
    shirt, towel = products_of(write(tmp_path, header, *rows))
    assert (shirt.item.category, shirt.item.colour, shirt.item.gender) == ("Shirts", "Navy Blue", "men")
    assert shirt.item.description == "Season: Fall" and shirt.item.price_minor is None
    assert shirt.notes == () and shirt.pictures == ("15970.jpg",)
    assert (towel.item.name, towel.item.category, towel.item.gender) == ("Towel, red", "Home", "girls")
    assert towel.notes == ("row_realigned",)


def test_myntra_styles_with_prices_and_semicolons(tmp_path: Path) -> None:
    header = "\ufeff" + HEADERS["myntra-styles"].replace(",", ";") + ";Price;description "
    row = "1;Women;Apparel;Topwear;Tops;Red;Fall;2011;Casual;Top;$35;Soft, red."
    item = products_of(write(tmp_path, header, row))[0].item
    assert (item.price_minor, item.currency, item.description) == (3500, "USD", "Soft, red.")


def test_myntra_catalog(tmp_path: Path) -> None:
    row = '10017413,DKNY Unisex Black Trolley Bag,DKNY,Unisex Kids,11745,7,"Secured with a TSA lockOne handle", Black,'
    item = products_of(write(tmp_path, HEADERS["myntra-catalog"], row))[0].item
    assert item.description == "Secured with a TSA lock. One handle"
    assert (item.colour, item.gender, item.price_minor, item.currency) == ("Black", "kids", 1174500, "INR")


@pytest.mark.parametrize("shape", ["document", "bare", "lines", "array", "folder"])
def test_myntra_json(tmp_path: Path, shape: str) -> None:
    data = {
        "id": 10001, "price": "549", "discountedPrice": 274, "productDisplayName": "Sp Jema Blue Skirt",
        "brandName": "Palm Tree", "ageGroup": "Kids-Girls", "gender": "Women", "baseColour": "Blue",
        "articleAttributes": {"Pattern": "Printed", "Fabric 2": "NA"}, "articleType": {"id": 74, "typeName": "Skirts"},
        "styleImages": {"default": {"imageURL": "http://a.example/1.jpg"},
                        "back": {"imageURL": "http://a.example/2.jpg"}},
        "productDescriptors": {"description": {"value": "<p><b>Wash</b><br />Machine wash</p>"}},
        "landingPageUrl": "Skirts/Palm-Tree/A-Skirt/10001/buy",
    }  # fmt: skip
    whole = {"notification": {}, "meta": {"code": 200}, "data": data}
    path = tmp_path / "export"
    if shape == "folder":
        path.mkdir()
        (path / "10001.json").write_text(json.dumps(whole))
    else:
        written = {
            "document": json.dumps(whole, indent=1),
            "bare": json.dumps(data),
            "lines": json.dumps(whole) + "\n",
            "array": json.dumps([whole]),
        }
        path.write_text(written[shape])
    export = open_export(path)
    (product,) = export
    assert export.format == "myntra-json" and isinstance(product, Product)
    item = product.item
    assert (item.item, item.price_minor, item.currency, item.gender) == ("10001", 27400, "INR", "girls")
    assert item.description == "Wash. Machine wash. Pattern: Printed"
    assert product.pictures == ("10001.jpg", "http://a.example/1.jpg", "http://a.example/2.jpg")
    assert item.page_url == "https://www.myntra.com/Skirts/Palm-Tree/A-Skirt/10001/buy"


def test_asos_json_with_optional_and_contradicting_fields(tmp_path: Path) -> None:
    url = "https://www.asos.com/jack-jones/jack-jones-tee/prd/{}?clr={}&colourWayId=1&cid=27108"
    rows = [
        {"title": "Jack & Jones tee ", "images": ["https://a.example/1.jpg?x=1&amp;y=2"], "color": "BLACK",
         "price": {"current": 95, "previous": 60}, "detail": ["Square neck", "Regular fit"],
         "url": url.format(204629102, "black"), "gender": "Women", "category": "new in"},
        {"title": "Jack & Jones tee ", "images": [], "price": {"current": 28.5}, "color": "", "gender": "Men",
         "url": url.format(204629102, "dark-red"), "category": "shoes"},
    ]  # fmt: skip
    path = tmp_path / "export.json"
    path.write_text(json.dumps(rows))
    export = open_export(path)
    black, red = (product for product in export if isinstance(product, Product))
    assert export.format == "asos-json"
    assert (black.item.item, black.item.price_minor, black.item.currency) == ("204629102-black", 9500, "GBP")
    assert (black.item.brand, black.item.colour, black.item.category) == ("Jack & Jones", "Black", "")
    assert black.item.description == "Square neck. Regular fit"
    assert black.item.image_url == "https://a.example/1.jpg?x=1&y=2"
    assert black.item.page_url.endswith("/prd/204629102?clr=black&colourWayId=1")
    assert (red.item.item, red.item.colour, red.item.category) == ("204629102-dark-red", "Dark red", "shoes")


def test_asos_fr(tmp_path: Path) -> None:
    url = "https://www.asos.com/fr/qed/qed-robe-pull/prd/202951828"
    row = f'{url},QED,Femme,robes,NOIR, Robe pull ,Encolure cœur,202951828,"PVC85,99 €38,99 €"'
    item = products_of(write(tmp_path, HEADERS["asos-fr"], row))[0].item
    assert (item.name, item.gender, item.colour, item.category) == ("Robe pull", "women", "Noir", "robes")
    assert (item.item, item.price_minor, item.currency) == ("202951828", 3899, "EUR")


def test_prefixed_pairs_and_colour_variants(tmp_path: Path) -> None:
    url = "https://www.asos.com/bershka/bershka-socks/prd/12871408?clr={}&colourWayId={}&SearchQuery=&cid=27110"
    lines = [f"Bershka socks,7.99,{url.format(c, n)}" for n, c in enumerate(("white", "black", "no-colour"))]
    products = products_of(write(tmp_path, "ASOS_Name,ASOS_Price (£),ASOS_URL_Link", *lines))
    assert [product.item.item for product in products] == ["12871408-white", "12871408-black", "12871408"]
    assert [product.item.colour for product in products] == ["White", "Black", ""]
    item = products[0].item
    assert (item.brand, item.price_minor, item.currency) == ("Bershka", 799, "GBP")
    row = "Socks,2.99,Black/PAC-MAN,men_tshirtstanks_shortsleeve,https://www2.hm.com/en_gb/productpage.0706270009.html"
    item = products_of(write(tmp_path, HEADERS["prefixed"], row))[0].item
    assert (item.item, item.gender, item.colour) == ("0706270009", "men", "Black/PAC-MAN")
    assert item.category == "t-shirts and tanks, short sleeve"


@pytest.mark.parametrize(
    ("category", "leaf", "gender"),
    [
        ("men_socks", "socks", "men"),
        ("MEN_TSHIRTSTANKS_POLO", "t-shirts and tanks, polo", "men"),
        ("kids_girl8y_dresses", "dresses", "girls"),
        ("Men-Casual-Trousers", "Casual Trousers", "men"),
        ("T-Shirts", "T-Shirts", ""),
        ("Apparel & Accessories > Clothing > Women's Tops", "Women's Tops", "women"),
        ("Unisex Kids", "Unisex Kids", "kids"),
        ("Men & Women / Watches", "Watches", "unisex"),
        ("new in", "", ""),
        ("2271", "", ""),
    ],
)
def test_categories_and_genders(category: str, leaf: str, gender: str) -> None:
    assert leaf_category(category) == leaf
    assert gender_in(category) == gender


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        (" Black", "Black"),
        ("BLEU MARINE", "Bleu marine"),
        ("khaki", "Khaki"),
        ("NA", ""),
        ("16420451", ""),
        ("Unknown", ""),
    ],
)
def test_colours(text: str, colour: str) -> None:
    assert plain_colour(text) == colour


@pytest.mark.parametrize(
    ("address", "page"),
    [
        (
            "https://click.linksynergy.com/deeplink?mid=1&murl=https%3A%2F%2Fwww.asos.com%2Fus%2Fasos%2Fa-dress%2Fprd%2F12719118",
            Page("https://www.asos.com/us/asos/a-dress/prd/12719118", "12719118", "", "asos", "USD"),
        ),
        (
            "https://www.amazon.co.uk/gp/product/B093CCYNJS?tag=x-21&th=1",
            Page("https://www.amazon.co.uk/gp/product/B093CCYNJS", "B093CCYNJS", currency="GBP"),
        ),
        (
            "https://shop.example/collections/new/products/soft-tee?utm_source=x&variant=7",
            Page("https://shop.example/collections/new/products/soft-tee?variant=7", "soft-tee"),
        ),
        ("//shop.example/a b", Page("https://shop.example/a%20b")),
        ("javascript:alert(1)", Page("")),
        ("https://[::1", Page("")),
    ],
)
def test_addresses(address: str, page: Page) -> None:
    assert read_page(address) == page


def test_amazon_with_shifted_rows(tmp_path: Path) -> None:
    link = "https://www.amazon.in/Some-Watch/dp/{}/ref=sr_1_1?qid=1&s=apparel"
    picture = "https://m.example/a.jpg"
    rest = "stores,Women's Fashion"
    good = [
        f'IndiWeaves\ufffd Watch,{rest},{picture},{link.format(f"B0B6P922{n}0")},4.2,587,"₹1,199","₹1,745"'
        for n in range(9)
    ]
    odd = [
        f'Titan Watch,{rest},{picture},{link.format("B0B6P922CB")},Get,FREE Delivery by Amazon,,"₹8,995"',
        f'Watch, silver dial,{rest},{picture},{link.format("B0B6P922CC")},4.2,587,"₹1,199","₹1,745"',
        f'Lost cell,{rest.split(",")[0]},{picture},{link.format("B0B6P922CD")},4.2,587,"₹1,199","₹1,745",',
        f"Unpriced,{rest},{picture},{link.format('B0B6P922CE')},4.2,65,,",
    ]
    products = products_of(write(tmp_path, HEADERS["amazon"], *good, *odd))
    assert products[0].item.name == "IndiWeaves Watch" and products[0].item.price_minor == 119900
    titan, silver, lost, unpriced = products[9:]
    assert (titan.item.item, titan.item.price_minor, titan.notes) == ("B0B6P922CB", 899500, ())
    assert titan.item.page_url == "https://www.amazon.in/Some-Watch/dp/B0B6P922CB"
    assert (silver.item.name, silver.item.item) == ("Watch, silver dial", "B0B6P922CC")
    assert (lost.item.item, lost.item.price_minor) == ("B0B6P922CD", 119900)
    assert silver.notes == lost.notes == ("row_realigned",)
    assert (unpriced.item.price_minor, unpriced.notes) == (None, ("price_unknown",))


def test_hm_articles_name_pictures_with_the_zero_that_the_id_lost(tmp_path: Path) -> None:
    row = "108775015,Strap top,Vest top,Black,Ladieswear,Jersey top."
    product = products_of(write(tmp_path, HEADERS["hm-articles"], row))[0]
    assert product.item.item == "108775015" and product.pictures == ("0108775015.jpg",)
    assert (product.item.gender, product.item.category, product.item.colour) == ("women", "Vest top", "Black")


def test_google_and_shopify_columns_are_read_by_synonyms(tmp_path: Path) -> None:
    google = [
        "id\ttitle\tdescription\tlink\timage_link\tprice\tsale_price\tbrand\tgender\tcolor\tproduct_type",
        "0007\tTee\tSoft\thttps://a.example/p/7\thttps://a.example/7.jpg\t15.00 EUR\t12.00 EUR\tAcme\tfemale\tred"
        "\tApparel > Tees",
    ]
    item = products_of(write(tmp_path, *google))[0].item
    assert (item.item, item.price_minor, item.currency, item.category) == ("0007", 1200, "EUR", "Tees")
    assert (item.gender, item.colour, item.image_url) == ("women", "Red", "https://a.example/7.jpg")
    shopify = [
        "Handle,Title,Body (HTML),Vendor,Type,Variant SKU,Variant Price,Image Src",
        "tee,Soft Tee,<p>Soft&nbsp;tee</p>,Acme,Tees,T1,12.00,https://a.example/1.jpg",
        "tee,,,,,T2,12.00,https://a.example/2.jpg",
    ]
    tee, second = open_export(write(tmp_path, *shopify), currency="usd")
    assert isinstance(tee, Product) and isinstance(second, Rejection)
    assert (tee.item.item, tee.item.price_minor, tee.item.currency) == ("tee", 1200, "USD")
    assert second.reason == "duplicate"
