"""The page to try a bundle by hand, in a real browser: what is typed is answered and stays text."""

import pytest

from pipeline.serve.app import Served, make_app
from pipeline.serve.guard import Limits
from tests.browser import CONTRAST, OVERFLOW, SIZES, browser
from tests.serve.test_serve import serving
from tests.trained import bundles, trained

__all__ = ["browser", "bundles", "trained"]
EVIL = ["<img src=x onerror=alert(1)>", "</script><script>document.title = 'taken'</script>"]
SECRET = "s3cret-" * 6


@pytest.fixture(scope="module")
def address(bundles):
    served = Served(folder=str(bundles / "whole"), limits=Limits(characters=500), page=True)
    with serving(make_app(served)) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def opened(browser, address):
    browser.look("screen", "light")
    browser.open(address)
    yield browser
    assert browser.complaints() == []


def asked(browser, *texts):
    """What is shown once *texts* are typed in and sent."""
    for place, text in enumerate(texts):
        field = browser.find(f"#field{place}")
        field.clear()
        field.send_keys(text)
    browser.find("button").click()
    return browser.wait_for("#result > :is(#answer, #error)").text


def test_both_texts_are_answered_with_uncertainty_and_who_disagrees(opened):
    answer = asked(opened, "a cat sleeps", "a dog runs")
    assert answer.startswith("target: ")
    float(answer.removeprefix("target: "))
    more = opened.find("#more").text
    for word in ("blend", "spread of learners", "linear", "tiny", "±"):
        assert word in more
    assert "All members agree." in more or "Would say something else alone: " in more


def test_markup_in_a_text_stays_text(opened):
    title = opened.driver.title
    asked(opened, *EVIL)
    assert opened.all("#result img, #result script") == []
    assert opened.driver.title == title
    assert opened.find("#field0").get_attribute("value") == EVIL[0]


def test_it_is_used_with_the_keyboard_and_read_on_a_phone_at_night(opened):
    for size in SIZES:
        for scheme in ("light", "dark"):
            opened.look(size, scheme)
            opened.open(opened.driver.current_url)
            opened.press("TAB", "a cat", "TAB", "a dog", "TAB", "TAB", "ENTER")
            opened.wait_for("#answer")
            assert opened.run(OVERFLOW) <= 0
            told = opened.run(CONTRAST, "h1, label, textarea, button, summary, p, td, th, #answer")
            assert min(told) >= 4.5


def test_what_is_refused_is_said(browser, opened, bundles):
    said = asked(opened, "x" * 501, "a dog")
    assert "'sentence_1' has 501 characters; at most 500" in said
    (complaint,) = opened.complaints()  # a browser notes every answer of 400 and more
    assert "status of 413" in complaint


def test_a_token_is_asked_for_where_one_is_needed(opened, bundles):
    with serving(make_app(Served(folder=str(bundles / "quick"), page=True), SECRET)) as port:
        opened.open(f"http://127.0.0.1:{port}/")
        assert asked(opened, "a cat", "a dog") == "send the token: Authorization: Bearer TOKEN"
        assert "status of 401" in opened.complaints()[0]
        opened.press(*SECRET, "ENTER")
        assert opened.wait_for("#answer").text.startswith("target: ")
