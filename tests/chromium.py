"""A real browser without a window, driven over a pipe: what a page shows, and what it asks for."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waiting import DEADLINE_SECONDS

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    "--headless",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
_READS, _WRITES = 3, 4  # the numbers that Chromium's side of the pipes has


def find_chromium() -> str | None:
    """The program; None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name)) is not None), None)


@dataclass
class Page:
    """A page that is open.

    Attributes:
        requests: what it asked for, itself included.
        errors: of its scripts and of its policy.
    """

    _ask: Callable[..., Any]
    requests: list[str] = field(default_factory=list[str])
    errors: list[str] = field(default_factory=list[str])

    def value(self, expression: str) -> Any:
        """What an expression is, in the page."""
        answer = self._ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def text(self, selector: str = "body") -> str:
        """What can be read of it."""
        return str(self.value(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def click(self, selector: str) -> None:
        """Clicks, as a script does."""
        assert self.value(
            f"(e => e ? (e.click(), true) : false)(document.querySelector({json.dumps(selector)}))"
        ), f"there is no {selector}"

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """What a person's mouse does: Pressed, Moved or Released."""
        self._ask("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **more)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Presses the button, moves, and lets go."""
        held: dict[str, Any] = {"button": "left", "buttons": 1, "clickCount": 1}
        self.mouse("Moved", *start)
        self.mouse("Pressed", *start, **held)
        self.mouse("Moved", *end, **held)
        self.mouse("Released", *end, button="left", clickCount=1)

    def picture(self, target: Path) -> Path:
        """The whole page as PNG."""
        answer = self._ask("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        target.write_bytes(base64.b64decode(answer["data"]))
        return target


class Chromium:
    """A browser that lives as long as a session of tests."""

    def __init__(self, program: str, profile: Path) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        # the shell gives the pipes their numbers: preexec_fn is no good beside threads
        numbered = f'exec "$0" "$@" {_READS}<&{theirs_in} {_WRITES}>&{theirs_out}'
        self._process = subprocess.Popen(
            [
                "bash",
                "-c",
                numbered,
                program,
                *OPTIONS,
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out, self._number, self._buffer = ours_in, ours_out, 0, b""
        self._pages: dict[str, Page] = {}

    def stop(self) -> None:
        """Ends it."""
        os.close(self._out)
        os.close(self._in)
        self._process.terminate()
        try:
            self._process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @contextmanager
    def open(
        self, address: str | Path, *, width: int = 1280, height: int = 900, dark: bool = False
    ) -> Iterator[Page]:
        """A page, once it is loaded.

        Args:
            address: a file, or a URL.
        """
        target = self._send("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = self._send("Target.attachToTarget", {"targetId": target, "flatten": True})
        session = attached["sessionId"]

        def ask(method: str, **parameters: Any) -> Any:
            return self._send(method, parameters, session)

        page = self._pages[session] = Page(ask)
        for domain in ("Page", "Network", "Runtime", "Log"):
            ask(f"{domain}.enable")
        ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        ask("Emulation.setEmulatedMedia", features=[scheme])
        self._loaded = False
        ask("Page.navigate", url=address.as_uri() if isinstance(address, Path) else address)
        self._read(lambda _: self._loaded)
        try:
            yield page
        finally:
            self._send("Target.closeTarget", {"targetId": target})

    def _send(self, method: str, parameters: Mapping[str, Any], session: str = "") -> Any:
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        content = json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0"
        while content:
            content = content[os.write(self._out, content) :]
        answer = self._read(lambda found: found.get("id") == number)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _read(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Messages up to the one that is wanted."""
        latest = time.monotonic() + DEADLINE_SECONDS
        while True:
            while b"\0" in self._buffer:
                content, _, self._buffer = self._buffer.partition(b"\0")
                message: dict[str, Any] = json.loads(content)
                self._note(message)
                if wanted(message):
                    return message
            ready, _, _ = select.select([self._in], [], [], max(0.0, latest - time.monotonic()))
            assert ready, "Chromium does not answer"
            part = os.read(self._in, 1 << 20)
            assert part, "Chromium has ended"
            self._buffer += part

    def _note(self, message: dict[str, Any]) -> None:
        page = self._pages.get(message.get("sessionId", ""))
        if page is None:
            return
        parameters = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                page.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                page.errors.append(json.dumps(parameters["exceptionDetails"]))
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                page.errors.append(parameters["entry"]["text"])
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "assert"):
                page.errors.append(json.dumps(parameters["args"]))
