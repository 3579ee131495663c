"""What every interaction is handed besides its request."""

from __future__ import annotations

from dataclasses import dataclass, field

from careledger.access.standing import Standing
from careledger.fhir.backend import Backend
from careledger.fhir.chartorder import ChartOrders
from careledger.fhir.search.chartindex import ChartIndexCache


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what one request may ask. Counts are of resources; `bundle_answer_bytes` of what a Bundle reads.

    A page ends early, with a `next` link, before its resources are over `page_bytes`; it always holds one.
    An emergency access holds for `emergency_ms`; its review is due after `review_ms`.
    """

    page_default: int = 50
    page_max: int = 1_000
    page_bytes: int = 32 << 20
    bundle_entries_max: int = 50_000
    bundle_answer_bytes: int = 64 << 20
    retries: int = 4
    slice_ms: float = 5.0
    emergency_ms: int = 4 * 3_600_000
    review_ms: int = 72 * 3_600_000


@dataclass(frozen=True, slots=True)
class Context:
    """The node, what this process keeps open of charts and their directives, and the bounds."""

    backend: Backend
    charts: ChartIndexCache
    orders: ChartOrders
    types: frozenset[str]
    limits: Limits = Limits()
    standing: Standing = field(default_factory=Standing)
