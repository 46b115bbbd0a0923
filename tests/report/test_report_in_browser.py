"""The pages in a real browser: they render, say nothing to the console, ask for nothing, and fit a phone."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.report import Site

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND",
]  # fmt: skip
DESKTOP, PHONE = (1200, 2600), (390, 3000)
PROBE = """<script>
addEventListener("load", () => {
  const root = document.documentElement;
  const cut = [...document.querySelectorAll("svg.chart text")].filter((text) => {
    const inner = text.getBoundingClientRect(), outer = text.ownerSVGElement.getBoundingClientRect();
    return inner.left < outer.left - 8 || inner.right > outer.right + 8
      || inner.top < outer.top - 8 || inner.bottom > outer.bottom + 8;
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
    "index.html": 0, "data.html": 1, "retrieval.html": 9, "predictions.html": 24, "ablation.html": 12,
    "pretrain_checkpoint.html": 4, "pretrain_checkpoint_shared.html": 4, "lineage.html": 0,
}  # fmt: skip

ON_PHONE = ("index.html", "ablation.html", "pretrain_checkpoint.html")
DARK = "--blink-settings=preferredColorScheme=0"
PICTURES: dict[str, tuple[tuple[int, int], tuple[str, ...], tuple[str, ...]]] = {
    "desktop": (DESKTOP, ("index.html",), ()),
    "predictions": (DESKTOP, ("predictions.html",), (DARK,)),
    "phone": (PHONE, ON_PHONE, ()),
    "phone_dark": (PHONE, ON_PHONE, (DARK,)),
}
"""By name: size of a page, pages that the picture shows, flags."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What the browser printed, and its picture of a window of so many pixels."""

    dom: str
    console: list[str]
    picture: bytes
    window: tuple[int, int]


pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed on this machine")


def browse(file: Path, profile: Path, *flags: str, size: tuple[int, int] = DESKTOP) -> tuple[str, list[str]]:
    """Open a file; return what the browser prints and its console lines."""
    assert BROWSER is not None
    command = [
        BROWSER, *FLAGS, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", *flags, file.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def framed(pages: dict[str, str], folder: Path, size: tuple[int, int]) -> Path:
    """Write pages, and one that shows them beside each other in frames of this size."""
    folder.mkdir()
    for name, html in pages.items():
        (folder / name).write_text(html, encoding="utf-8")
    frame = folder / "frame.html"
    frames = "".join(ONE.format(name=name, width=size[0], height=size[1]) for name in pages)
    frame.write_text(FRAME.format(frames=frames), encoding="utf-8")
    return frame


@pytest.fixture(scope="module")
def visits(site: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Visit]:
    """Open all pages beside each other, each with a probe, and take a picture of the first ones."""
    folder = tmp_path_factory.mktemp("visits")
    artifacts = Path(os.environ.get("MEDCSP_ARTIFACTS") or folder / "artifacts")
    artifacts.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, (size, first, flags) in PICTURES.items():
        names = [*first, *(file for file in site.pages if file not in first)]
        pages = {file: site.pages[file].replace("</body>", PROBE.replace("FILE", f'"{file}"')) for file in names}
        frame, picture = framed(pages, folder / name, size), artifacts / f"report_{name}.png"
        window = (max(size[0] * len(first), 500), size[1])
        more = ("--dump-dom", f"--screenshot={picture}", "--virtual-time-budget=2000", *flags)
        dom, console = browse(frame, folder / "profile", *more, size=window)
        found[name] = Visit(dom=dom, console=console, picture=picture.read_bytes(), window=window)
    return found


@pytest.mark.parametrize("name", PICTURES)
def test_every_page_renders_alone_and_fits(visits: dict[str, Visit], site: Site, name: str) -> None:
    assert visits[name].console == []
    said = re.search(r'data-probe="([^"]*)"', visits[name].dom)
    assert said is not None, "no page did load"
    probes = {file: tuple(map(int, numbers)) for file, *numbers in (one.split(",") for one in said[1].split())}
    assert probes.keys() == site.pages.keys(), "a page did not load"
    for file, (width, scroll_width, num_requests, _, num_cut) in probes.items():
        assert width == PICTURES[name][0][0]
        assert scroll_width <= width, f"{file} scrolls sideways"
        assert num_requests == 0, f"{file} asks for files"
        assert num_cut == 0, f"words of a chart of {file} are cut off"
    assert {file: probe[3] for file, probe in probes.items()} == NUM_CHARTS


def test_pictures_are_kept(visits: dict[str, Visit]) -> None:
    for visit in visits.values():
        head = visit.picture[:24]
        assert head.startswith(b"\x89PNG")
        assert (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")) == visit.window
    assert visits["phone"].picture != visits["phone_dark"].picture, "dark colours change nothing"


def test_a_console_error_would_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "broken.html"
    file.write_text("<!DOCTYPE html><title>x</title><script>absent()</script>", encoding="utf-8")
    _, console = browse(file, tmp_path / "profile", "--dump-dom")
    assert len(console) == 1 and "absent is not defined" in console[0]
