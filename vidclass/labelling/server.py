"""The labelling page's server: this recording and this label file to this machine's browser, nothing else."""

import argparse
import json
import os
import socket
import threading
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from vidclass import cli
from vidclass.dataset.options import CutOptions
from vidclass.labelling.guard import HOST, Guard, Patient
from vidclass.labelling.session import ChangedElsewhere, Conflict, Session
from vidclass.labelling.training import training_facts

PAGE = os.path.join(os.path.dirname(__file__), "page")
KINDS = {"page.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
MAX_BODY = 2**23  # bytes of what a page sends: 50,000 segments
PIECE_PATIENCE = 20  # seconds that a page waits for a piece of the proxy, before it asks again
MOST_CONNECTIONS = 400  # of 1024 files that a process may open


def to_json(content: Any, status: int = 200) -> Response:
    """A response. In ASCII: names of files need not be text."""
    return Response(json.dumps(content), status, media_type="application/json")


async def body_of(request: Request) -> dict:
    """The JSON object that a page sends. Raises ValueError if it sends anything else, or too much."""
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > MAX_BODY:
            raise ValueError("too much")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(found, dict):
        raise ValueError("expected an object")
    return found


def as_number(value: Any) -> int:
    """A version's number; -1, which none has, of anything else."""
    return value if type(value) is int else -1


class Endpoints:
    """What the server answers. Those that are no coroutines run in threads."""

    def __init__(self, session: Session, token: str):
        self._session, self._token = session, token

    def routes(self) -> list[Route]:
        return [
            Route("/", self.page),
            Route("/page.css", self.page),
            Route("/page.js", self.page),
            Route("/recording", self.recording),
            Route("/times", self.times),
            Route("/video", self.video),
            Route("/proxy/{name}", self.piece),
            Route("/shot/{first:int}", self.shot),
            Route("/progress", self.progress),
            Route("/training", self.training),
            Route("/claim", self.claim, methods=["POST"]),
            Route("/release", self.release, methods=["POST"]),
            Route("/segments", self.save, methods=["POST"]),
            Route("/load", self.load, methods=["POST"]),
        ]

    def page(self, request: Request) -> Response:
        name = request.url.path[1:] or "page.html"
        with open(os.path.join(PAGE, name), encoding="utf-8") as file:
            text = file.read()
        if name == "page.html":
            text = text.replace("{{token}}", self._token)  # of letters, digits, - and _
        return Response(text, media_type=KINDS[name])

    def recording(self, request: Request) -> Response:
        return to_json(self._session.facts())

    def times(self, request: Request) -> Response:
        return Response(
            self._session.table.times.astype("<f8").tobytes(), media_type="application/octet-stream"
        )

    def video(self, request: Request) -> Response:
        return FileResponse(self._session.source.path, media_type="video/mp4")

    def piece(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name != "init.mp4" and not (name.isascii() and name.isdigit() and len(name) < 10):
            return PlainTextResponse("no such piece", 404)
        proxy = self._session.proxy
        proxy.start()
        path = proxy.piece(name, PIECE_PATIENCE)
        if path:
            return FileResponse(path, media_type="video/mp4")
        if proxy.background.done:
            return PlainTextResponse(proxy.background.problem or "no such piece", 404)
        return PlainTextResponse("not yet", 503)

    def shot(self, request: Request) -> Response:
        content = self._session.shots.picture(request.path_params["first"])
        return Response(content, media_type="image/jpeg") if content else PlainTextResponse("none", 404)

    def progress(self, request: Request) -> Response:
        """How far the background's work is, and the cuts from number `cuts` on."""
        session, known = self._session, request.query_params.get("cuts", "0")
        shots, proxy = session.shots, session.proxy
        first = int(known) if known.isascii() and known.isdigit() and len(known) < 10 else 0
        return to_json(
            {
                "cuts": shots.cuts[first:],
                "searched": shots.frames,
                "search_done": shots.background.done,
                "problem": shots.background.problem,
                "pieces": proxy.pieces,
                "proxy_done": proxy.background.done,
                "is_owner": session.is_owner(request.query_params.get("page", "")),
                "version": session.version,
                "is_other": session.is_other(),
            }
        )

    def training(self, request: Request) -> Response:
        session = self._session
        try:
            seconds = cli.seconds(request.query_params.get("seconds", "3"))
            features = session.features()
        except argparse.ArgumentTypeError as error:
            return PlainTextResponse(str(error), 400)
        options = CutOptions(seconds=seconds, data_dir=session.options.data_dir, dry_run=True)
        return to_json(training_facts(session.source, session.labels.path, options, features))

    async def claim(self, request: Request) -> Response:
        sent = await body_of(request)
        owns = self._session.claim(str(sent.get("page"))[:64], sent.get("force") is True)
        return to_json({"is_owner": owns})

    async def release(self, request: Request) -> Response:
        self._session.release(str((await body_of(request)).get("page"))[:64])
        return to_json({})

    async def save(self, request: Request) -> Response:
        sent = await body_of(request)

        def work(page, version):
            over = sent.get("over") is True
            saved, kept = self._session.save(page, version, sent.get("segments"), over)
            return {"version": saved, "kept": kept}

        return await _changing(work, sent)

    async def load(self, request: Request) -> Response:
        """Takes what another program wrote to the label file."""
        return await _changing(self._session.load, await body_of(request))


async def _changing(work, sent):
    """The answer of what changes the labels: work(page, version)."""
    page, version = str(sent.get("page"))[:64], as_number(sent.get("version"))
    try:
        return to_json(await run_in_threadpool(work, page, version) or {})
    except ChangedElsewhere as error:
        return to_json({"error": str(error), "is_other": True}, 409)
    except Conflict as error:
        return to_json({"error": str(error)}, 409)
    except OSError as error:
        return to_json({"error": str(error)}, 507)


async def refuse(request: Request, error: Exception) -> Response:
    return to_json({"error": str(error)}, 400)


async def gone(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"can't be read: {error}\n", 410)


HANDLERS = {ValueError: refuse, OSError: gone, RuntimeError: gone}  # RuntimeError: FileResponse's


def make_app(session: Session, token: str, port: int) -> ASGIApp:
    """The application, behind its Guard."""
    app = Starlette(routes=Endpoints(session, token).routes(), exception_handlers=HANDLERS)
    return Guard(app, token, port)


def listen(port: int) -> socket.socket:
    """A socket on this machine's own address. Raises OSError if the port is taken."""
    server = socket.socket()
    try:
        if os.name == "posix":  # elsewhere it would share the port with others
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((HOST, port))
        server.listen(128)  # from now on the browser may come
    except OSError as error:
        server.close()
        raise OSError(
            f"--port {port}: can't be used ({error.strerror}); leave it out to get a free one"
        ) from None
    return server


class Server:
    """A running server in a thread; a context manager. .alive: whether it runs."""

    def __init__(self, session: Session, token: str, listening: socket.socket):
        app = make_app(session, token, listening.getsockname()[1])
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            http=Patient,
            limit_concurrency=MOST_CONNECTIONS,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()

    def wait(self) -> None:
        """Returns when it has ended, which it doesn't by itself."""
        while self._thread.is_alive():
            self._thread.join(0.5)
