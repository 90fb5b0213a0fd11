"""What the tests of the labelling page share: a served session, recordings with numbered frames."""

import contextlib
import http.client
import json
from dataclasses import dataclass

from helpers import ffmpeg

from vidclass.labelling import server, session
from vidclass.labelling.options import LabelOptions

BITS = 10
TOKEN = "the-token_1"


@dataclass
class Running:
    """A session that is served. Requests are a browser's, unless told otherwise."""

    session: session.Session
    port: int

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}/?token={TOKEN}"

    def request(self, method, path, token=TOKEN, body=None, **headers):
        """(status, headers, content) of an answer. headers: with _ for -; None leaves one out."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        given = {"Host": f"127.0.0.1:{self.port}", "Origin": f"http://127.0.0.1:{self.port}"}
        given.update({name.replace("_", "-"): value for name, value in headers.items()})
        connection.putrequest(method, f"{path}{'&' if '?' in path else '?'}token={token}", skip_host=True)
        for name, value in given.items():
            if value is not None:
                connection.putheader(name, value)
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if content is not None:
            connection.putheader("Content-Length", str(len(content)))
        connection.endheaders(content)
        answer = connection.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return found


@contextlib.contextmanager
def served(recording, labels=None, options=LabelOptions(browser=False), folder=None):
    """A Running session. folder: for its proxy."""
    opening = session.opened(str(recording), labels and str(labels), str(folder), options)
    listening = server.listen(0)
    with opening as opened, server.Server(opened, TOKEN, listening):
        yield Running(opened, listening.getsockname()[1])


def numbered(path, *arguments, rate="25", seconds=12, sound=True):
    """A recording whose frames show their numbers in binary, encoded with ffmpeg's arguments."""
    picture = f"color=black:size={16 * BITS}x96:rate={rate}:duration={seconds},format=gray,"
    picture += "geq=lum='16+219*mod(floor(N/pow(2,floor(X/16))),2)'"
    tone = ("-f lavfi -i", f"sine=duration={seconds}") if sound else ()
    ffmpeg("-f lavfi -i", picture, *tone, *arguments, path)
    return path
