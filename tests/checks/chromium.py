"""Chromium by its own protocol (Chrome DevTools Protocol), so that no driver is needed.

A page is driven from tests that know of no event loop: a thread of its own runs everything.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

T = TypeVar("T")
NAMES = ("chromium", "chromium-browser", "google-chrome")
READY_S = 30.0
ANSWER_S = 20.0
BAD_REQUEST = 400
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}


def find_chromium() -> str | None:
    """Return the program; None: there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begin the work."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float = ANSWER_S) -> T:
        """Do the work; return its result."""
        return self.start(work).result(timeout_s)

    def close(self) -> None:
        """End the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextlib.contextmanager
def chromium(program: str, folder: Path) -> Iterator[str]:
    """Run Chromium without a window; give the address of its protocol."""
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-extensions",
             "--hide-scrollbars", "--lang=en-GB"]  # fmt: skip
    said = folder / "chromium.log"
    with said.open("wb") as log:
        child = subprocess.Popen(
            [program, *flags, "--remote-debugging-port=0", f"--user-data-dir={folder / 'profile'}"],
            stdout=log,
            stderr=log,
        )
    try:
        yield _address(folder / "profile" / "DevToolsActivePort", child, said)
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _address(place: Path, child: "subprocess.Popen[bytes]", said: Path) -> str:
    deadline_s = time.monotonic() + READY_S
    while time.monotonic() < deadline_s:
        lines = place.read_text().split() if place.exists() else []
        if len(lines) > 1:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        if child.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"Chromium did not start: {said.read_text(errors='replace')[-2000:]}")


class Page:
    """One page of a browser."""

    def __init__(self, loop: Loop, address: str) -> None:
        self._loop = loop
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._session = ""
        self.errors: list[str] = []
        """Of its console, exceptions among them, and of what it could not load."""
        self.requests: list[str] = []
        """Addresses that it asked for, since they were cleared last."""
        self.failed: list[str] = []
        """Those that got no answer or a refusal."""
        self.received_bytes = 0
        """Of all answers, as they came."""
        self._asked: dict[str, str] = {}
        self._http: aiohttp.ClientSession | None = None
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._hears: asyncio.Task[None] | None = None
        loop.run(self._open(address))

    async def _open(self, address: str) -> None:
        self._http = aiohttp.ClientSession()
        self._ws = await self._http.ws_connect(address, max_msg_size=0)
        self._hears = asyncio.create_task(self._hear())
        context = await self._ask("Target.createBrowserContext")
        made = await self._ask(
            "Target.createTarget", url="about:blank", browserContextId=context["browserContextId"]
        )
        attached = await self._ask("Target.attachToTarget", targetId=made["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            await self._ask(f"{domain}.enable")

    async def _hear(self) -> None:
        assert self._ws is not None
        async for message in self._ws:
            told = json.loads(message.data)
            if "id" in told:
                waiting = self._answers.pop(told["id"])
                if not waiting.done():
                    waiting.set_result(told)
                continue
            self._note(told["method"], told["params"])

    def _note(self, method: str, said: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            thrown = said["exceptionDetails"]
            self.errors.append(str(thrown.get("exception", {}).get("description") or thrown["text"]))
        elif method == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(one.get("value")) for one in said["args"]))
        elif method == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")
        elif method.startswith("Network."):
            self._note_request(method, said)

    def _note_request(self, method: str, said: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self._asked[said["requestId"]] = said["request"]["url"]
            self.requests.append(said["request"]["url"])
        elif method == "Network.loadingFinished":
            self.received_bytes += int(said["encodedDataLength"])
        elif method == "Network.loadingFailed" and not said.get("canceled"):
            self.failed.append(f"{self._asked.get(said['requestId'])}: {said['errorText']}")
        elif method == "Network.responseReceived" and said["response"]["status"] >= BAD_REQUEST:
            self.failed.append(f"{said['response']['url']}: {said['response']['status']}")

    async def _ask(self, method: str, **params: Any) -> Any:  # noqa: ANN401 - as the protocol has it
        assert self._ws is not None
        number = next(self._ids)
        self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params}
        await self._ws.send_json(message | ({"sessionId": self._session} if self._session else {}))
        told = await self._answers[number]
        if "error" in told:
            raise RuntimeError(f"{method}: {told['error']}")
        return told["result"]

    def do(self, method: str, **params: Any) -> Any:  # noqa: ANN401 - as the protocol has it
        """Have the protocol do something; return what it says."""
        return self._loop.run(self._ask(method, **params))

    def run(self, script: str) -> Any:  # noqa: ANN401 - any value of the page's
        """Return the value of an expression in the page; promises are waited for."""
        told = self.do("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise RuntimeError(f"{script}: {told['exceptionDetails']}")
        return told["result"].get("value")

    def wait(self, condition: str, timeout_s: float = ANSWER_S) -> None:
        """Wait until an expression is true in the page."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            with contextlib.suppress(RuntimeError):  # between two documents there is none
                if self.run(f"!!({condition})"):
                    return
            time.sleep(0.03)
        raise TimeoutError(f"{condition}: {self.text()[:1500]} {self.errors}")

    def open(self, url: str) -> None:
        """Go to an address."""
        self.do("Page.navigate", url=url)

    def text(self) -> str:
        """Return what the page says."""
        return str(self.run("document.body.innerText"))

    def shows(self, text: str, timeout_s: float = ANSWER_S) -> None:
        """Wait until the page says this."""
        self.wait(f"document.body.innerText.includes({json.dumps(text)})", timeout_s)

    def press(self, name: str, selector: str = "button, a, summary") -> None:
        """Click what has this name, by its label or text."""
        found = f"""[...document.querySelectorAll({json.dumps(selector)})].find((one) => !one.disabled
            && one.ariaDisabled !== 'true'
            && (one.getAttribute('aria-label') ?? one.innerText).trim() === {json.dumps(name)})"""
        self.wait(f"!!({found})")
        self.run(f"[{found}].forEach((one) => {{ one.focus(); one.click(); }})")

    def write(self, label: str, text: str) -> None:
        """Put the focus into the field of this label and type."""
        named = f"(one) => one.innerText.startsWith({json.dumps(label)})"
        field = f"[...document.querySelectorAll('label')].find({named})?.control"
        self.wait(f"!!({field})")
        self.run(f"({field}).focus(), ({field}).select()")
        self.do("Input.insertText", text=text)

    def key(self, name: str) -> None:
        """Press a key."""
        text = {"Enter": "\r", " ": " "}.get(name)
        more = {"text": text} if text else {}
        pressed = {"key": name, "code": "Space" if name == " " else name, "windowsVirtualKeyCode": KEYS[name]}
        self.do("Input.dispatchKeyEvent", type="keyDown", **pressed, **more)
        self.do("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def look(self, *, width: int = 1280, height: int = 900, dark: bool = False, still: bool = False) -> None:
        """Be a screen of this size, of somebody who likes it light or dark, and with or without motion."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                mobile=width < 500)  # fmt: skip
        likes = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if still else "no-preference",
        }
        features = [{"name": name, "value": value} for name, value in likes.items()]
        self.do("Emulation.setEmulatedMedia", features=features)

    def picture(self) -> bytes:
        """Return the whole page as PNG."""
        told = self.do("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(told["data"])

    def close(self) -> None:
        """Leave the browser."""

        async def close() -> None:
            assert self._ws is not None
            assert self._http is not None
            assert self._hears is not None
            await self._ws.close()
            await self._hears
            await self._http.close()

        self._loop.run(close())
