"""A real browser for pages: headless Chromium, driven by Selenium. Anything that it complains of on
its console fails the test that opened the page."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = {
    "browser": ("chromium", "google-chrome", "chromium-browser", "chrome"),
    "driver": ("chromedriver", "chromium.chromedriver"),
}
SWITCHES = (
    "--headless",
    "--no-sandbox",  # a test may run as root, and opens nothing but its own pages
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SIZES = {"screen": (1280, 900), "phone": (390, 844)}


def program(kind: str) -> str:
    """Where the *kind* of program lies; skips the test where there is none."""
    for name in PROGRAMS[kind]:
        if (found := shutil.which(name)) is not None:
            return found
    pytest.skip(f"no {PROGRAMS[kind][0]} here: apt install chromium chromium-driver")


class Browser:
    """One window."""

    def __init__(self, profile: Path) -> None:
        """Start it on an empty *profile*."""
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = program("browser")
        for switch in (*SWITCHES, f"--user-data-dir={profile}"):
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, Service(program("driver")))

    def open(self, address: str) -> None:
        """Load a page."""
        self.driver.get(address)

    def run(self, script: str, *given: Any) -> Any:
        """What *script*, the body of a function, returns in the page."""
        return self.driver.execute_script(script, *given)

    def find(self, selector: str) -> Any:
        """The first element that a CSS *selector* names."""
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        """All of them that are seen."""
        found = self.driver.find_elements("css selector", selector)
        return [each for each in found if each.is_displayed()]

    def wait_for(self, selector: str) -> Any:
        """The first element that a CSS *selector* names, once it is there."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, 10).until(lambda _: self.find(selector))

    def point_at(self, element: Any) -> None:
        """Move the pointer there."""
        self._actions().move_to_element(element).perform()

    def press(self, *keys: str) -> None:
        """Press *keys* one after the other: TAB, ENTER, ARROW_RIGHT …, or a character."""
        from selenium.webdriver.common.keys import Keys

        for key in keys:
            self._actions().send_keys(getattr(Keys, key, key)).perform()

    def _actions(self) -> Any:
        from selenium.webdriver.common.action_chains import ActionChains

        return ActionChains(self.driver, duration=0)

    def look(self, size: str, scheme: str) -> None:
        """See the page as a *size* of `SIZES` shows it, in a light or dark *scheme*."""
        width, height = SIZES[size]
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1}
        metrics["mobile"] = size == "phone"
        wish = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", wish)

    def complaints(self) -> list[str]:
        """What stands on the console since this was asked last."""
        return [f"{each['level']}: {each['message']}" for each in self.driver.get_log("browser")]


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    """A window for the tests of a module."""
    pytest.importorskip("selenium", reason='pip install -e ".[dev]"')
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.driver.quit()


CONTRAST = """
const canvas = document.createElement("canvas");
const brush = canvas.getContext("2d", { willReadFrequently: true });
const seen = (colours) => {  // one painted over the other
  colours.forEach((colour) => { brush.fillStyle = colour; brush.fillRect(0, 0, 1, 1); });
  return [...brush.getImageData(0, 0, 1, 1).data.slice(0, 3)]
    .map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
};
const known = new Map();
return [...document.querySelectorAll(arguments[0])].filter((each) => each.offsetParent)
  .map((each) => {
    const behind = [];
    for (let at = each; at; at = at.parentElement) {
      behind.unshift(getComputedStyle(at).backgroundColor);
    }
    const colours = ["white", ...behind, getComputedStyle(each).color];
    const key = colours.join();
    if (!known.has(key)) {
      const [a, b] = [seen(colours), seen(colours.slice(0, -1))];
      known.set(key, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
    }
    return known.get(key);
  });
"""
"""How far texts stand out from what is behind them, of those elements that are seen: WCAG 2.2,
"contrast ratio"; 4.5 is asked for."""
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
