"""What Prefect's own pages show of a run, in a real browser: both of its versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chromium import Chromium
from system.command_line import WANDER, command_line
from system.server import PrefectServer, running
from waiting import until

pytestmark = [pytest.mark.server, pytest.mark.thorough]

RUN = "looked-at"
_WIDTH = "document.querySelector('img[src^=\"data:image/svg\"]')?.naturalWidth ?? 0"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A server with pages, on another port than 4200, that knows a run of 3 iterations."""
    folder = tmp_path_factory.mktemp("pages")
    ui = {"PREFECT_SERVER_UI_ENABLED": "true", "PREFECT_UI_STATIC_DIRECTORY": str(folder / "ui")}
    with running(PrefectServer(folder / "home", PREFECT_UI_API_URL="/api", **ui)) as server:
        with command_line(folder / "line", folder / "home", **server.settings) as line:
            line("run", WANDER, "--run-id", RUN, "--max-iterations", "3").well()
        yield server


@pytest.mark.parametrize("version", ["", "/v2"], ids=["V1", "V2"])
def test_the_report_shows_the_curve(
    pages: PrefectServer, chromium: Chromium, version: str, tmp_path: Path
) -> None:
    (report,) = pages.artifacts(f"{RUN}-report")
    base = pages.url.removesuffix("/api")
    with chromium.open(f"{base}{version}/artifacts/artifact/{report['id']}") as page:
        until(lambda: page.value(_WIDTH) == 720, "the curve is there")  # V2 draws it twice
        until(lambda: "Stopped after 3 iterations" in page.text(), "its words are there")
        page.picture(tmp_path / "report.png")
