"""Pages for people: links lead somewhere, and profiles that they print can be used as they stand."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from data_contracts.evaluation import METHODS
from medcsp_model.baselines.radiology.registry import MODELS
from pipelines.profiles import Profile, profile_named
from pipelines.resources import check_declared

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
FENCE = re.compile(r"^```.*?^```$", flags=re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PRINTED = [
    (page, function, code)
    for page in PAGES
    for code in re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.M | re.S)
    for function in re.findall(r"^def (\w+)\(\) -> Profile:", code, flags=re.M)
]


def anchors_of(page: str) -> set[str]:
    """What the headings of a page are called in links, as GitHub makes it of their words."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """The links of a page to files or headings that are not there."""
    wrong = []
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors_of(target.read_text())):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_every_page_is_named_by_the_front_page() -> None:
    named = LINK.findall((ROOT / "README.md").read_text())
    assert {page.relative_to(ROOT).as_posix() for page in PAGES} - {"README.md"} <= set(named)


def test_a_link_to_nothing_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One, two\n[a](#one-two) [b](#three) [c](page.md#one-two) [d](none.md) [e](https://example.org)\n"
    )
    assert broken_links(page) == ["#three", "none.md"]


@pytest.mark.parametrize(("page", "function", "code"), PRINTED, ids=[function for _, function, _ in PRINTED])
def test_a_profile_that_is_printed_can_be_used(
    page: Path, function: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("mine")
    exec(compile(code, str(page), "exec"), vars(module))
    monkeypatch.setitem(sys.modules, "mine", module)
    profile = profile_named(f"mine:{function}")
    check_declared(profile)
    assert isinstance(profile, Profile)
    assert set(profile.radiology.methods) <= set(METHODS)


def test_names_that_a_page_calls_free_are_free() -> None:
    (said,) = re.findall(r"free today are (.*?), and another", (ROOT / "docs" / "models.md").read_text(), flags=re.S)
    names = set(re.findall(r"`(\w+)`", said))
    assert names and names <= set(METHODS) - MODELS.keys()
