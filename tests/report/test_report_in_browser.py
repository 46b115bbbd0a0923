"""The page in a real browser: it renders, says nothing to the console, asks for nothing, and fits a phone."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines.report import Page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND",
]  # fmt: skip
DESKTOP, PHONE = (1200, 4600), (500, 7000)  # a headless window is never narrower than 500 pixels
PROBE = """<script>
addEventListener("load", () => {
  const root = document.documentElement;
  const cut = [...document.querySelectorAll("svg.chart text")].filter((text) => {
    const inner = text.getBoundingClientRect(), outer = text.ownerSVGElement.getBoundingClientRect();
    return inner.left < outer.left - 8 || inner.right > outer.right + 8;
  });
  root.dataset.probe = [innerWidth, root.scrollWidth, performance.getEntriesByType("resource").length, cut.length];
});
</script></body>"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed on this machine")


def browse(file: Path, profile: Path, *flags: str, size: tuple[int, int] = DESKTOP) -> tuple[str, list[str]]:
    """Open a file; return what the browser prints and its console lines."""
    assert BROWSER is not None
    command = [
        BROWSER, *FLAGS, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", *flags, file.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def shot(file: Path, profile: Path, picture: Path, *flags: str, size: tuple[int, int]) -> tuple[int, int]:
    """Take a picture; return its width and height in pixels."""
    _, console = browse(file, profile, f"--screenshot={picture}", *flags, size=size)
    assert console == []
    head = picture.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("MEDCSP_ARTIFACTS") or tmp_path / "artifacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_it_renders_alone_and_fits(page: Page, tmp_path: Path, size: tuple[int, int]) -> None:
    file = tmp_path / "report.html"
    file.write_text(page.html.replace("</body>", PROBE), encoding="utf-8")
    dom, console = browse(file, tmp_path / "profile", "--dump-dom", "--virtual-time-budget=2000", size=size)
    assert console == []
    assert len(re.findall(r'<svg class="chart"', dom)) == 4
    probe = re.search(r'data-probe="(\d+),(\d+),(\d+),(\d+)"', dom)
    assert probe is not None
    width, scroll_width, num_requests, num_cut = map(int, probe.groups())
    assert width == size[0]
    assert scroll_width <= width, "the page scrolls sideways"
    assert num_requests == 0, "the page asks for files"
    assert num_cut == 0, "words of a chart are cut off"


def test_a_console_error_would_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "broken.html"
    file.write_text("<!DOCTYPE html><title>x</title><script>absent()</script>", encoding="utf-8")
    _, console = browse(file, tmp_path / "profile", "--dump-dom")
    assert len(console) == 1 and "absent is not defined" in console[0]


def test_screenshots_are_kept(page: Page, tmp_path: Path, artifacts: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page.html, encoding="utf-8")
    profile = tmp_path / "profile"
    dark = "--blink-settings=preferredColorScheme=0"
    pictures = {}
    for name, size, flags in (("desktop", DESKTOP, []), ("phone", PHONE, []), ("phone_dark", PHONE, [dark])):
        picture = artifacts / f"report_{name}.png"
        assert shot(file, profile, picture, *flags, size=size) == size
        pictures[name] = picture.read_bytes()
    assert pictures["phone"] != pictures["phone_dark"], "dark colours change nothing"
