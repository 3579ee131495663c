"""From the configuration to the shell's services, and which requests are logged."""

from __future__ import annotations

from collections.abc import Callable

from careledger.access.actor import Actor
from careledger.access.tokens import Presented
from careledger.node.config import Config
from careledger.node.log import logger
from careledger.web.api.messages import ApiHandler
from careledger.web.services import FhirHandler, RequestLog, Services, SmartHandler

Count = Callable[[str, str, int], None]
"""Takes note of an answer: method, route as a template, status."""

SLOW_MS = 5000
"""A request that took longer is logged with the errors."""
WAITING = frozenset(("/api/charts/{id}/head",))
"""Those that take long because they wait."""


def services_of(
    config: Config,
    fhir: FhirHandler,
    authenticate: Callable[[bytes | None, Presented | None], Actor],
    problems: Callable[[], tuple[str, ...]],
    count: Count = lambda method, route, status: None,
    smart: SmartHandler | None = None,
    api: ApiHandler | None = None,
) -> Services:
    """The services of a worker under this configuration."""
    return Services(
        fhir=fhir,
        authenticate=authenticate,
        problems=problems,
        log=_counted(request_log(config.log.requests), count),
        max_body_bytes=config.limits.max_body_bytes,
        max_gzip_ratio=config.limits.max_gzip_ratio,
        body_seconds=config.server.body_seconds,
        request_seconds=config.server.request_seconds,
        gzip_responses=config.server.gzip_responses,
        smart=smart,
        api=api,
        public_url=config.server.public_url,
        behind_proxy=config.server.behind_proxy,
    )


def request_log(mode: str) -> Callable[[RequestLog], None]:
    """What `log.requests` says: none; errors (5xx and slow ones); all. Templates and ids of requests only."""

    def write(request: RequestLog) -> None:
        failed = request.status >= 500
        is_slow = request.duration_ms >= SLOW_MS and request.route not in WAITING
        if not failed and mode != "all" and not is_slow:
            return
        entry = {
            "request_id": request.request_id,
            "method": request.method,
            "route": request.route,
            "status": request.status,
            "duration_ms": round(request.duration_ms, 3),
            "client": request.client,
        }
        if request.error is not None:
            entry["exc_info"] = request.error
        if failed:
            logger().error("request failed", **entry)
        else:
            logger().info("request", **entry)

    return (lambda _request: None) if mode == "none" else write


def _counted(log: Callable[[RequestLog], None], count: Count) -> Callable[[RequestLog], None]:
    def write(request: RequestLog) -> None:
        count(request.method, request.route, request.status)
        log(request)

    return write
