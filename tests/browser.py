"""The browser that the tests look at pages with: found, got from Debian where it may be, driven, its console read.

    def test_page(browser: Browser) -> None:
        browser.open(path)                      # a file; what the console said before is forgotten
        browser.driver.find_element(...)        # selenium's own webdriver
        browser.assert_quiet()                  # nothing in the console, nothing asked of a network

    python -m tests.browser                     # find one, or install Debian's (what `make test` does)

A pytest plugin as well (tests/conftest.py names it): the fixture `browser`, and at the very end of a session in which
there was none, what did not run and how to get one. A browser that is there but does not start fails the tests.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # it takes 0.3 s to import, which a session without pages need not pay for
    from selenium.webdriver import Chrome

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DRIVER = "chromedriver"
#: Where distributions put the driver when it is not on the PATH; beside the browser it is looked for as well.
DRIVER_FOLDERS = ("/usr/lib/chromium", "/usr/lib/chromium-browser", "/opt/google/chrome", "/usr/lib/chromium/browser")
PACKAGES = ("chromium", "chromium-driver")
HOW_TO_GET_ONE = "On Debian: apt install chromium chromium-driver. Elsewhere: Chrome or Chromium, and its chromedriver."
_NO_BROWSER = "no browser: "


@dataclass(frozen=True)
class Found:
    """A browser's program and its driver's; `missing` says in words what is not there, empty where nothing is."""

    program: str | None
    driver: str | None

    @property
    def missing(self) -> str:
        """What keeps the tests from running."""
        if self.program is None:
            return "neither Chromium nor Chrome is on the PATH"
        return "" if self.driver else f"{self.program} is there, but no {DRIVER} for it"


def find_browser() -> Found:
    """The first of BROWSERS on the PATH, and the driver on the PATH or beside it."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    beside = [os.path.dirname(os.path.realpath(program))] if program else []
    folders = os.pathsep.join([*beside, *DRIVER_FOLDERS])
    return Found(program, shutil.which(DRIVER) or shutil.which(DRIVER, path=folders))


class Browser:
    """A headless Chromium with one window, and what its console and its network had to say."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, path: Path | str, fragment: str = "") -> None:
        """Open a file as a person would, with nothing of an earlier page left: neither logs nor position."""
        self.driver.get("about:blank")
        self._entries("browser")
        self._entries("performance")
        self.driver.get(Path(path).absolute().as_uri() + (f"#{fragment}" if fragment else ""))

    def script(self, text: str, *arguments: Any) -> Any:
        """What JavaScript returns in the page."""
        return self.driver.execute_script(text, *arguments)

    def console(self) -> list[str]:
        """The console's lines since the last call: messages, errors, refusals of a content security policy."""
        return [f"{entry['level']} {entry['message']}" for entry in self._entries("browser")]

    def requested(self) -> list[str]:
        """The URLs that were asked for since the last call, failures and refusals included; no `data:` among them."""
        messages = [json.loads(entry["message"])["message"] for entry in self._entries("performance")]
        urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith(("data:", "blob:"))]

    def assert_quiet(self) -> None:
        """Nothing is in the console, and every request since the page was opened was for a file."""
        lines = self.console()
        assert not lines, "the console is not empty:\n" + "\n".join(lines)
        elsewhere = [url for url in self.requested() if not url.startswith("file:")]
        assert not elsewhere, f"the page asked for {elsewhere}"

    def resize(self, width: int, height: int = 900) -> None:
        """Give the page a viewport of this many CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def prefer(self, scheme: str) -> None:
        """Have the page find `light` or `dark` preferred."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def _entries(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]
        return entries


def start(found: Found, profile: Path) -> Browser:
    """Start the browser. Raises selenium's WebDriverException where it does not come up."""
    from selenium.webdriver import Chrome
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = found.program or ""
    for argument in (
        "--headless=new",
        "--no-sandbox",  # root, as in a container, gets no sandbox
        "--disable-dev-shm-usage",  # /dev/shm of a container is too small for it
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--host-resolver-rules=MAP * ~NOTFOUND",  # what a page asks of a network must fail here as it does offline
        "--lang=en-GB",
        "--window-size=1280,900",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # With a path given, Selenium's own manager, which would download a driver, is never asked.
    driver = Chrome(options=options, service=Service(executable_path=found.driver))
    driver.set_page_load_timeout(60)
    return Browser(driver)


@pytest.fixture(scope="session")
def _running_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    running = start(find_browser(), tmp_path_factory.mktemp("browser profile"))
    yield running
    running.driver.quit()


@pytest.fixture
def browser(request: pytest.FixtureRequest) -> Browser:
    """The session's browser, 1280 by 900 and light; without one the test is skipped, and the session's end says so."""
    missing = find_browser().missing
    if missing:
        pytest.skip(f"{_NO_BROWSER}{missing}")
    running: Browser = request.getfixturevalue("_running_browser")
    running.resize(1280)
    running.prefer("light")
    return running


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """After everything else: that the browser tests did not run. A skip among many is overlooked."""
    yield
    # What ran in processes of pytest-xdist is known by its reports alone.
    skipped = terminalreporter.stats.get("skipped", [])
    not_run = [report for report in skipped if f"Skipped: {_NO_BROWSER}" in str(report.longrepr)]
    if not_run:
        terminalreporter.section("THE BROWSER TESTS DID NOT RUN", sep="!", red=True, bold=True)
        for line in (
            f"Tests of pages that were left out: {len(not_run)}, because {find_browser().missing}.",
            f"{HOW_TO_GET_ONE} Then run the tests again.",
        ):
            terminalreporter.line(line, red=True, bold=True)
        terminalreporter.line("!" * terminalreporter._tw.fullwidth, red=True, bold=True)


def install_browser() -> None:
    """Install Debian's Chromium with its driver where apt-get is there and this user may; says what it does."""
    missing = find_browser().missing
    if not missing:
        return
    prefix = _root_prefix()
    if prefix is None or shutil.which("apt-get") is None:
        print(f"The browser tests will not run: {missing}. {HOW_TO_GET_ONE}", flush=True)
        return
    print(f"For the browser tests ({missing}): installing Debian's {' and '.join(PACKAGES)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    quickly = ["-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=20", "-o", "DPkg::Lock::Timeout=60"]
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *PACKAGES]):
        code = subprocess.run([*prefix, "apt-get", *quickly, *command], env=environment, check=False).returncode
        if code:
            print(f"apt-get {command[0]} ended with exit code {code}", flush=True)
    if find_browser().missing:
        print(f"That gave no browser; its tests will not run. {HOW_TO_GET_ONE}", flush=True)


def _root_prefix() -> list[str] | None:
    """What makes a command run as root without a question: nothing, sudo, or None where nothing does."""
    if os.geteuid() == 0:
        return []
    sudo = ["sudo", "-n"]
    may = shutil.which("sudo") and subprocess.run([*sudo, "true"], capture_output=True, check=False).returncode == 0
    return sudo if may else None


if __name__ == "__main__":
    install_browser()
    sys.exit(0)
