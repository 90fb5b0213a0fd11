"""Who may talk to the labelling page's server, and for how long it listens to others."""

import hmac
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

HOST = "127.0.0.1"
HEAD_PATIENCE = 10  # seconds that a connection may be open before its request has come
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Lets through only requests of our own page: to 127.0.0.1 or localhost by name (a name that was made to
    point here is another, DNS rebinding), with the token, and from no other page."""

    def __init__(self, app: ASGIApp, token: str, port: int):
        self._app, self._token = app, token
        self._hosts = {f"{name}:{port}" for name in (HOST, "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_ours(Request(scope)):
            await PlainTextResponse("Forbidden: open the address that label.py prints.\n", 403)(
                scope, receive, send
            )
        else:
            await self._app(scope, receive, _with_headers(send))

    def _is_ours(self, request):
        headers = request.headers
        host = headers.get("host", "")
        token = request.query_params.get("token", "")
        origin = headers.get("origin")
        if origin is None and request.method not in ("GET", "HEAD"):
            return False
        return (
            host in self._hosts
            and hmac.compare_digest(token.encode(errors="replace"), self._token.encode())
            and origin in (None, f"http://{host}")
            and headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        )


def _with_headers(send):
    async def sending(message):
        if message["type"] == "http.response.start":
            kept = [(name, value) for name, value in message["headers"] if name.lower() != b"cache-control"]
            extra = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
            message = {**message, "headers": [*kept, *extra]}
        await send(message)

    return sending


class Patient(H11Protocol):
    """Closes a connection on which no request has come after HEAD_PATIENCE seconds: half a request, from
    whomever, would take the place of one."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._expect()
        else:
            self._hurry.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._hurry.cancel()
        super().connection_lost(exc)

    _hurry: Any = None

    def _expect(self):
        if self._hurry is None or self._hurry.cancelled():
            self._hurry = self.loop.call_later(HEAD_PATIENCE, self._give_up)

    def _give_up(self):
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
