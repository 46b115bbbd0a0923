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
DESKTOP, PHONE = (1200, 4600), (390, 8200)
PROBE = """<script>
addEventListener("load", () => {
  const root = document.documentElement;
  const cut = [...document.querySelectorAll("svg.chart text")].filter((text) => {
    const inner = text.getBoundingClientRect(), outer = text.ownerSVGElement.getBoundingClientRect();
    return inner.left < outer.left - 8 || inner.right > outer.right + 8;
  });
  const charts = document.querySelectorAll("svg.chart").length;
  const requests = performance.getEntriesByType("resource").length;
  parent.postMessage([innerWidth, root.scrollWidth, requests, charts, cut.length].join(), "*");
});
</script></body>"""
FRAME = """<!DOCTYPE html><title>frame</title><style>body {{ margin: 0 }} iframe {{ border: 0; display: block }}</style>
<script>addEventListener("message", (event) => {{ document.documentElement.dataset.probe = event.data; }});</script>
<iframe src="{name}" width="{width}" height="{height}"></iframe>"""  # a window is never narrower than 500 pixels

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


def framed(html: str, folder: Path, size: tuple[int, int]) -> Path:
    """Write the page, and a page that shows it in a frame of this size."""
    folder.mkdir()
    (folder / "report.html").write_text(html, encoding="utf-8")
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(name="report.html", width=size[0], height=size[1]), encoding="utf-8")
    return frame


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_it_renders_alone_and_fits(page: Page, tmp_path: Path, size: tuple[int, int]) -> None:
    frame = framed(page.html.replace("</body>", PROBE), tmp_path / "pages", size)
    dom, console = browse(frame, tmp_path / "profile", "--dump-dom", "--virtual-time-budget=2000")
    assert console == []
    probe = re.search(r'data-probe="(\d+),(\d+),(\d+),(\d+),(\d+)"', dom)
    assert probe is not None, "the page did not load"
    width, scroll_width, num_requests, num_charts, num_cut = map(int, probe.groups())
    assert width == size[0]
    assert scroll_width <= width, "the page scrolls sideways"
    assert num_requests == 0, "the page asks for files"
    assert num_charts == 23
    assert num_cut == 0, "words of a chart are cut off"


def test_a_console_error_would_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "broken.html"
    file.write_text("<!DOCTYPE html><title>x</title><script>absent()</script>", encoding="utf-8")
    _, console = browse(file, tmp_path / "profile", "--dump-dom")
    assert len(console) == 1 and "absent is not defined" in console[0]


def test_screenshots_are_kept(page: Page, tmp_path: Path, artifacts: Path) -> None:
    dark = "--blink-settings=preferredColorScheme=0"
    alone = page.html.replace("</style>", "main > :not(#predictions, #tripod), header { display: none }</style>")
    pictures = {}
    for name, html, size, flags in (
        ("desktop", page.html, DESKTOP, []),
        ("predictions", alone, DESKTOP, []),
        ("phone", page.html, PHONE, []),
        ("phone_dark", page.html, PHONE, [dark]),
    ):
        frame = framed(html, tmp_path / name, size)
        window = (max(size[0], 500), size[1])
        picture = artifacts / f"report_{name}.png"
        assert shot(frame, tmp_path / "profile", picture, *flags, size=window) == window
        pictures[name] = picture.read_bytes()
    assert pictures["phone"] != pictures["phone_dark"], "dark colours change nothing"
