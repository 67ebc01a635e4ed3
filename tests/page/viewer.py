# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Who looks at the page: Chromium without a screen, driven by Selenium."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from lab.browser import FLAGS, browser

LIMIT = 20
WIDE, NARROW = (1280, 800), (390, 844)


class Viewer:
    def __init__(self, cache: Path) -> None:
        found = browser(cache)
        self._folder = tempfile.mkdtemp(prefix="kuryr-page-")
        options = Options()
        options.binary_location = str(found.chromium)
        for flag in (*FLAGS, f"--user-data-dir={self._folder}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = Service(str(found.driver), env={**os.environ, **found.environment})
        self.driver = webdriver.Chrome(options=options, service=service)

    def __enter__(self) -> Viewer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.driver.quit()
        shutil.rmtree(self._folder, ignore_errors=True)

    def open(
        self,
        address: str,
        size: tuple[int, int] = WIDE,
        *,
        dark: bool = False,
        still: bool = True,
        wires: bool = True,
        scale: int = 1,
    ) -> None:
        """Wait until the page shows something, unless it is to show nothing."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.complaints()  # of the page before
        self.driver.get(address)
        self.until(lambda: self.driver.find_element(By.ID, "host").text != "")
        if wires:
            self.until(lambda: self.items() != [])

    def until(self, holds: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, LIMIT, 0.05).until(lambda _: holds())

    def sooner(self, holds: Callable[[], Any]) -> Any:
        """Wait for a change, with a page that asks at once, as when it is looked at again, not after its pause."""

        def asked() -> Any:
            self.run("document.dispatchEvent(new Event('visibilitychange'))")
            return holds()

        return self.until(asked)

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def items(self, selector: str = "[role=treeitem]") -> list[str]:
        """What a screen reader says of the items."""
        script = "return [...document.querySelectorAll(arguments[0])].map((each) => each.getAttribute('aria-label'))"
        found: list[str] = self.run(script, selector)
        return found

    def text(self, selector: str) -> str:
        """As in the document, whether it can be seen or only heard."""
        found: str = self.run("return document.querySelector(arguments[0]).textContent", selector)
        return found

    def press(self, *keys: str) -> None:
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def search(self, words: str) -> None:
        field = self.one("#search")
        field.clear()
        field.send_keys(words)

    def focused(self) -> str:
        """The label, or the id, of what has the focus."""
        script = "const e = document.activeElement; return e.getAttribute('aria-label') || e.id || e.tagName"
        found: str = self.run(script)
        return found

    def complaints(self) -> list[str]:
        """What the browser has written to its console."""
        entries: list[dict[str, Any]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [str(entry["message"]) for entry in entries]

    def picture(self, path: Path) -> None:
        path.write_bytes(self.driver.get_screenshot_as_png())
