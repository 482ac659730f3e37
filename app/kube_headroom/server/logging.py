"""What the process says: one line an event, JSON for machines or text for people.

Nothing of an object is ever logged but kind, namespace, name and uid. Names come from strangers:
JSON escapes control characters by itself, the text form does so here.
"""

import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import msgspec

# A record's extra values travel in this attribute.
FIELDS = "fields"


def configure_logging(level: str, style: str, stream: TextIO = sys.stdout) -> None:
    """Send every logger of the process to `stream`; replaces what was configured before."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if style == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Ours alone may be verbose: others say at level debug what objects contain.
    root.setLevel(max(logging.INFO, logging.getLevelNamesMapping()[level.upper()]))
    logging.getLogger("kube_headroom").setLevel(level.upper())
    # Unreadable requests are counted; a stranger must not be able to fill the log with them.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": Stamps(lambda: record.created).now(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class TextLines(logging.Formatter):
    """The same for a terminal; a traceback keeps its lines."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the traceback's."""
        fields: Mapping[str, object] = getattr(record, FIELDS, {})
        parts = [
            Stamps(lambda: record.created).now(),
            record.levelname,
            escaped(record.getMessage()),
        ]
        parts += [f"{name}={escaped(str(value))}" for name, value in fields.items()]
        line = " ".join(parts)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class Stamps:
    """Time stamps of now. The text of a second is made once: formatting one costs 5 us."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._second = -1
        self._text = ""

    def now(self) -> str:
        """Now, in UTC, to the microsecond."""
        seconds = self._clock()
        second = int(seconds)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{int((seconds - second) * 1e6):06d}Z"


def escaped(text: str) -> str:
    """The text with every control character made visible, so that it stays one line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
