"""The page as a person uses it: a real browser at a real node, with an item whose texts are an attack."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from tests.node.api.conftest import EVIL, Shops

# The first text opens the encoder, which imports torch.
expect.set_options(timeout=60_000)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        # Containers run tests as root, which Chromium's sandbox refuses.
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser, shops: Shops) -> Iterator[Page]:
    """The page; whatever it complains of in its console fails the test."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("dialog", lambda dialog: faults.append(f"a dialog said {dialog.message}"))
    opened.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    opened.goto(shops.url)
    yield opened
    opened.close()
    # The browser tells of each answer that is not 200, also where a test asks for one.
    assert [fault for fault in faults if not fault.startswith("Failed to load resource")] == []


def rate(shops: Shops, user: str) -> None:
    for item, value in (("g0", 9), ("g4", 8), ("g8", 7), ("g1", 1), ("g2", 2)):
        shops.client.post("rate", {"user": user, "item": shops.item("Asolo", item), "value": value})


def visit(page: Page, shops: Shops, place: str) -> None:
    page.goto(f"{shops.url}/#/{place}")


def test_it_says_whose_node_it_is(page: Page) -> None:
    expect(page.locator("#platform")).to_have_text("Asolo")
    expect(page.locator("#summary")).to_have_text("39 items of 2 shops · 1 peer connected")


def test_a_persons_list_is_the_apis_with_pictures_and_reasons(page: Page, shops: Shops) -> None:
    rate(shops, "ada")
    visit(page, shops, "for")
    page.get_by_role("link", name="ada 5").click()
    cards = page.locator(".list .card")
    wanted = shops.client.get("recommend", user="ada", k=24)["items"]
    expect(cards).to_have_count(len(wanted))
    shown = [(card.get_attribute("data-publisher"), card.get_attribute("data-item")) for card in cards.all()]
    assert shown == [(one["publisher"], one["item"]) for one in wanted]
    expect(cards.first.locator(".reason")).to_have_text(wanted[0]["reason"])
    picture = cards.first.locator("img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
    expect(page.locator(".told")).to_contain_text("from 5 ratings that never leave this node")


def test_only_one_shop_and_another_model(page: Page, shops: Shops) -> None:
    rate(shops, "ada")
    visit(page, shops, "for/ada")
    page.get_by_label("Shop").select_option("Bella")
    expect(page.locator(".list .shop").first).to_have_text("Bella")
    expect(page.locator(".list .shop", has_text="Asolo")).to_have_count(0)
    page.get_by_label("Model").select_option("popularity")
    expect(page.locator(".told")).to_contain_text("By popularity")


def test_a_newcomer_rates_and_is_known(page: Page, shops: Shops) -> None:
    visit(page, shops, "for")
    page.get_by_label("Name").fill("nora")
    page.get_by_role("button", name="Go").click()
    expect(page.locator(".told")).to_contain_text("Nothing rated yet")
    first = page.locator(".list .card").first
    item, publisher = first.get_attribute("data-item"), first.get_attribute("data-publisher")
    first.get_by_role("button", name="love it").click()
    expect(page.locator(".told")).to_contain_text("from 1 rating that never")
    (stored,) = shops.client.get("ratings", user="nora")["ratings"]
    assert (stored["item"], stored["publisher"], stored["rating"]) == (item, publisher, 10)
    expect(page.locator(f'.list [data-item="{item}"][data-publisher="{publisher}"]')).to_have_count(0)
    page.get_by_role("button", name="take back").click()
    expect(page.locator(".told")).to_contain_text("Nothing rated yet")
    assert shops.client.get("ratings", user="nora")["ratings"] == []


def test_words_find_things_and_a_thing_its_likes(page: Page, shops: Shops) -> None:
    page.get_by_role("link", name="Search").click()
    page.get_by_role("searchbox").fill("red dress")
    page.keyboard.press("Enter")
    expect(page.locator(".told")).to_contain_text("“red dress”")
    wanted = shops.client.get("search", text="red dress", k=1)["items"][0]
    page.locator(".card .open").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("h2")).to_have_text(wanted["name"])
    expect(dialog).to_contain_text("A red")
    expect(dialog.locator(".card")).to_have_count(8)
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def test_an_items_texts_are_texts(page: Page, shops: Shops) -> None:
    """Names, descriptions and addresses are a stranger's: nothing of them runs."""
    visit(page, shops, "for/mallory")
    page.get_by_label("Shop").select_option("Bella")
    card = page.locator(f'.card[data-item="{EVIL.item}"]')
    expect(card.locator(".name")).to_have_text(EVIL.name)
    card.locator(".open").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("h2")).to_have_text(EVIL.name)
    expect(dialog).to_contain_text(EVIL.description)
    expect(dialog.get_by_role("link")).to_have_count(0)
    assert page.evaluate("window.hit") is None


def test_a_reason_is_a_text_too(page: Page, shops: Shops) -> None:
    evil = shops.item("Bella", EVIL.item)
    for item, value in ((evil, 10), (shops.item("Asolo", "g1"), 0), (shops.item("Asolo", "g2"), 0)):
        shops.client.post("rate", {"user": "trent", "item": item, "value": value})
    visit(page, shops, "for/trent")
    expect(page.locator(".list .reason", has_text=EVIL.name).first).to_be_visible()
    assert page.evaluate("window.hit") is None


def test_the_network_and_a_signed_question(page: Page, shops: Shops) -> None:
    page.get_by_role("link", name="Network").click()
    expect(page.get_by_role("cell", name="15 of 15")).to_be_visible()
    expect(page.get_by_role("cell", name="connected", exact=True)).to_be_visible()
    page.get_by_label("Question").fill("green shirt")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("section .told")).to_contain_text("the receipt is valid")
    with page.expect_download() as download:
        page.get_by_role("link", name="Keep it").click()
    receipt = Path(download.value.path()).read_bytes()
    checked = shops.client.read(*shops.client.ask("POST", "/api/verify", receipt))
    assert checked["valid"] and checked["signed_by"] == shops.publisher("Bella")


def test_a_taste_card_is_taken_along_and_brought(page: Page, shops: Shops, tmp_path: Path) -> None:
    rate(shops, "ada")
    visit(page, shops, "for/ada")
    with page.expect_download() as download:
        page.get_by_role("button", name="Taste card").click()
    card = tmp_path / "taste.card"
    download.value.save_as(card)
    page.get_by_text("A visitor brings a taste card").click()
    page.get_by_label("A taste card", exact=True).set_input_files(card)
    expect(page).to_have_url(re.compile("#/for/visitor-"))
    expect(page.locator(".told")).to_contain_text("Known by the taste card")


def test_what_is_wrong_is_told_where_people_look(page: Page, shops: Shops) -> None:
    visit(page, shops, "for/" + "x" * 300)
    expect(page.get_by_role("alert")).to_contain_text("can't be a user")
    visit(page, shops, "for/ada")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_what_is_wrong_while_an_item_is_open_is_told_there(page: Page, shops: Shops) -> None:
    rate(shops, "ada")
    visit(page, shops, "for/ada")
    page.locator(".list .open").first.click()
    page.route("**/api/rate", lambda route: route.fulfill(status=503, json={"error": "busy for a moment"}))
    dialog = page.get_by_role("dialog")
    dialog.locator(".about").get_by_role("button", name="love it").click()
    expect(dialog.get_by_role("alert")).to_have_text("busy for a moment")
    expect(dialog).to_be_visible()


def test_the_item_that_was_asked_for_last_is_shown(page: Page, shops: Shops) -> None:
    """Whatever comes when."""
    rate(shops, "ada")
    visit(page, shops, "for/ada")
    cards, held = page.locator(".list .open"), []
    second = cards.nth(1).locator(".name").inner_text()

    def hold(route: Route) -> None:
        held.append(route) if not held else route.continue_()

    page.route("**/api/item?*", hold)
    cards.nth(0).evaluate("card => card.click()")
    cards.nth(1).evaluate("card => card.click()")
    heading = page.get_by_role("dialog").locator("h2")
    expect(heading).to_have_text(second)
    with page.expect_response("**/api/item?*"):
        held[0].continue_()
    page.evaluate("() => new Promise((done) => setTimeout(done))")
    expect(heading).to_have_text(second)
    page.get_by_role("link", name="Network").evaluate("link => link.click()")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_whoever_rates_with_the_keyboard_goes_on_where_they_were(page: Page, shops: Shops) -> None:
    visit(page, shops, "for/keith")
    told = page.locator(".told")
    for number in range(1, 4):
        first = page.locator(".list .card").nth(1)
        if number == 1:
            first.get_by_role("button", name="love it").focus()
        page.keyboard.press("Enter")
        expect(told).to_contain_text(f"from {number} rating")
        expect(page.locator(".list .card").nth(1).get_by_role("button", name="love it")).to_be_focused()
    assert len(shops.client.get("ratings", user="keith")["ratings"]) == 3


def test_what_one_reads_stays_while_the_network_goes_on(page: Page, shops: Shops) -> None:
    visit(page, shops, "network")
    cell = page.get_by_role("cell", name="15 of 15")
    expect(cell).to_be_visible()
    cell.evaluate("cell => { window.read = cell }")
    with page.expect_response("**/api/status?*"):
        pass
    with page.expect_response("**/api/status?*"):
        pass
    assert page.evaluate("window.read.isConnected")


def test_a_small_screen_holds_it(page: Page, shops: Shops) -> None:
    rate(shops, "ada")
    page.set_viewport_size({"width": 360, "height": 740})
    for place in ("for/ada", "search/red", "network"):
        visit(page, shops, place)
        expect(page.locator("main")).not_to_be_empty()
        expect(page.get_by_role("link", name="Network")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, place
