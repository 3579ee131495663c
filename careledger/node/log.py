"""One log format: a JSON object a line on stderr, with known fields only and nothing about a patient.

The scrubber is an allow-list: a field that is not in `FIELDS` is dropped and counted, a value is cut, an event is a
fixed phrase. Bodies, queries, headers, names and paths with ids have no field. Exceptions leave their type and
places in the code, never their text: the text of a foreign exception may quote what it was parsing.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO, cast

import msgspec
import structlog

_FIELD_NAMES = (
    "event level time process worker logger request_id client_request method route status duration_ms "
    "client code rule error frames address height count bytes seconds version exit_code signal reason"
)
FIELDS = frozenset(_FIELD_NAMES.split())
VALUE_MAX_CHARACTERS = 200
FRAMES_MAX = 12
_EVENT = re.compile(r"[A-Za-z][A-Za-z0-9 ,.:;'()/_-]{0,119}")
_ROUTE = re.compile(
    r"/?(?:fhir/?)?(?:livez|readyz|metadata|(?:[A-Z][A-Za-z]{1,63}|[\[{][a-z]{1,10}[\]}]|\$[a-z-]{1,40}|_history|_search|\*)"
    r"(?:/(?:[\[{][a-z]{1,10}[\]}]|\$[a-z-]{1,40}|_history|_search|\*|[A-Z][A-Za-z]{1,63})){0,4})?"
    r"|/api(?:/(?:me|checkpoint|network|receipts|charts|head|accesses|export|access-export|copy|consents|prepare|revoke|ledger"
    r"|blocks|transactions|validators|search|trust|_history|\{[a-z]{1,10}\})){0,6}"
)
"""Templates such as `/fhir/Patient/[id]/_history/[vid]`: anything else means that a real path was passed."""

LEVELS: Mapping[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class _Stderr:
    """Standard error as it is when something is said, not as it was when this was set up."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure(level: str = "info", stream: TextIO | None = None, process: str = "node") -> None:
    """Send everything, the standard library's loggers included, to `stream` (stderr) in the one format."""
    target = stream or cast(TextIO, _Stderr())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _add_process(process),
            scrub,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Bridge()]
    root.setLevel(LEVELS[level] if level == "debug" else logging.WARNING)


def logger() -> structlog.typing.FilteringBoundLogger:
    """The logger: `log.warning("a fixed phrase", request_id=…)`. Never stdout, even before `configure`."""
    if not structlog.is_configured():
        configure()
    return cast(structlog.typing.FilteringBoundLogger, structlog.get_logger())


def frames_of(error: BaseException) -> list[str]:
    """Where it happened: `module.function:line`, the last `FRAMES_MAX`, without any value."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES_MAX:]
    return [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.name}:{frame.lineno}" for frame in frames]


def scrub(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Only known fields, short plain values, fixed phrases."""
    error = entry.pop("exc_info", None)
    if isinstance(error, BaseException):
        entry["error"] = type(error).__name__
        entry["frames"] = frames_of(error)
    clean = {name: _bounded(name, value) for name, value in entry.items() if name in FIELDS}
    if not _EVENT.fullmatch(str(entry.get("event", ""))):
        clean["event"] = "unprintable event"
    dropped = len(entry) - sum(name in FIELDS for name in entry)
    if dropped:
        clean["dropped"] = dropped
    return clean


def _bounded(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        value = value.hex()
    if name == "frames" and isinstance(value, list):
        return [str(frame)[:VALUE_MAX_CHARACTERS] for frame in value[:FRAMES_MAX]]
    if not isinstance(value, str):
        return type(value).__name__
    if name == "route" and not _ROUTE.fullmatch(value[:200]):
        return "(not a template)"
    return value[:VALUE_MAX_CHARACTERS]


def _add_process(process: str) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        entry["process"] = process
        return entry

    return add


def _render(_logger: Any, _method: str, entry: Mapping[str, Any]) -> str:
    return msgspec.json.encode(entry).decode()


class _Bridge(logging.Handler):
    """Loggers of libraries: their name, level and, if any, the exception's type and places; never their text."""

    def emit(self, record: logging.LogRecord) -> None:
        entry: dict[str, Any] = {"logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            entry["exc_info"] = record.exc_info[1]
        logger().log(record.levelno, "library message", **entry)
