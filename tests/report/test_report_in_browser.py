"""The pages in a real browser: they render, say nothing to the console, ask for nothing, and fit a phone."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines.report import Site

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND",
]  # fmt: skip
DESKTOP, PHONE = (1200, 3000), (390, 3600)
PROBE = """<script>
addEventListener("load", () => {
  const root = document.documentElement;
  const cut = [...document.querySelectorAll("svg.chart text")].filter((text) => {
    const inner = text.getBoundingClientRect(), outer = text.ownerSVGElement.getBoundingClientRect();
    return inner.left < outer.left - 8 || inner.right > outer.right + 8;
  });
  const charts = document.querySelectorAll("svg.chart").length;
  const requests = performance.getEntriesByType("resource").length;
  parent.postMessage([FILE, innerWidth, root.scrollWidth, requests, charts, cut.length].join(), "*");
});
</script></body>"""
FRAME = """<!DOCTYPE html><title>frame</title>
<style>body {{ margin: 0; display: flex }} iframe {{ border: 0; flex: none }}</style>
<script>addEventListener("message", (event) => {{
  const shown = document.documentElement.dataset;
  shown.probe = (shown.probe ? shown.probe + " " : "") + event.data;
}});</script>{frames}"""  # a window is never narrower than 500 pixels
ONE = """<iframe src="{name}" width="{width}" height="{height}"></iframe>"""
NUM_CHARTS = {
    "index.html": 0, "data.html": 1, "retrieval.html": 5, "predictions.html": 16, "ablation.html": 11,
    "pretrain_checkpoint.html": 4, "pretrain_checkpoint_shared.html": 4, "lineage.html": 0,
}  # fmt: skip

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


def framed(pages: dict[str, str], folder: Path, size: tuple[int, int]) -> Path:
    """Write pages, and one that shows them beside each other in frames of this size."""
    folder.mkdir()
    for name, html in pages.items():
        (folder / name).write_text(html, encoding="utf-8")
    frame = folder / "frame.html"
    frames = "".join(ONE.format(name=name, width=size[0], height=size[1]) for name in pages)
    frame.write_text(FRAME.format(frames=frames), encoding="utf-8")
    return frame


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_page_renders_alone_and_fits(site: Site, tmp_path: Path, size: tuple[int, int]) -> None:
    pages = {name: html.replace("</body>", PROBE.replace("FILE", f'"{name}"')) for name, html in site.pages.items()}
    frame = framed(pages, tmp_path / "pages", size)
    dom, console = browse(frame, tmp_path / "profile", "--dump-dom", "--virtual-time-budget=2000")
    assert console == []
    said = re.search(r'data-probe="([^"]*)"', dom)
    assert said is not None, "no page did load"
    probes = {name: tuple(map(int, numbers)) for name, *numbers in (one.split(",") for one in said[1].split())}
    assert probes.keys() == site.pages.keys(), "a page did not load"
    for name, (width, scroll_width, num_requests, _, num_cut) in probes.items():
        assert width == size[0]
        assert scroll_width <= width, f"{name} scrolls sideways"
        assert num_requests == 0, f"{name} asks for files"
        assert num_cut == 0, f"words of a chart of {name} are cut off"
    assert {name: probe[3] for name, probe in probes.items()} == NUM_CHARTS


def test_a_console_error_would_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "broken.html"
    file.write_text("<!DOCTYPE html><title>x</title><script>absent()</script>", encoding="utf-8")
    _, console = browse(file, tmp_path / "profile", "--dump-dom")
    assert len(console) == 1 and "absent is not defined" in console[0]


def test_screenshots_are_kept(site: Site, tmp_path: Path, artifacts: Path) -> None:
    dark = "--blink-settings=preferredColorScheme=0"
    pictures = {}
    shown = ("index.html", "ablation.html", "pretrain_checkpoint.html")
    for name, files, size, flags in (
        ("desktop", ("index.html",), DESKTOP, []),
        ("predictions", ("predictions.html", "ablation.html"), DESKTOP, []),
        ("phone", shown, PHONE, []),
        ("phone_dark", shown, PHONE, [dark]),
    ):
        frame = framed({file: site.pages[file] for file in files}, tmp_path / name, size)
        window = (max(size[0] * len(files), 500), size[1])
        picture = artifacts / f"report_{name}.png"
        assert shot(frame, tmp_path / "profile", picture, *flags, size=window) == window
        pictures[name] = picture.read_bytes()
    assert pictures["phone"] != pictures["phone_dark"], "dark colours change nothing"
