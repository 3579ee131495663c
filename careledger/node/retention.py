"""Duties to keep records: what may not be erased yet, by which rule, and until when.

No duty is in force unless the configuration names its years (`retention.*`, 0 by default): which laws bind a house
is not for a program to guess. There is no override on the command line: whoever must erase earlier changes the
configuration, which shows where it came from (`careledger config show --origin`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from careledger.node.config import Config
from careledger.primitives.errors import NotPermitted
from careledger.vault.model import LEAF_TYPES, Row


class RetentionDuty(NotPermitted):
    """A duty to keep these records is in force; nothing was changed."""

    code = "retention-duty"


@dataclass(frozen=True, slots=True)
class Rule:
    """Records of these types are kept for the years of `setting`, counted from the chart's last entry of them."""

    name: str
    setting: str
    types: frozenset[str]


BILLING_TYPES: Final = frozenset(
    (
        "Account", "ChargeItem", "Claim", "ClaimResponse", "Coverage", "CoverageEligibilityRequest",
        "CoverageEligibilityResponse", "ExplanationOfBenefit", "Invoice", "PaymentNotice", "PaymentReconciliation",
    )
)  # fmt: skip
IMAGING_TYPES: Final = frozenset(("ImagingStudy", "Media"))

RULES: Final = (
    Rule("imaging", "retention.imaging_years", IMAGING_TYPES),
    Rule("billing", "retention.billing_years", BILLING_TYPES),
    Rule("medical-records", "retention.medical_records_years", frozenset()),
)
"""The first row that names a type holds for it; the last one, which names none, holds for all others."""


def rule_of(type: str) -> Rule:
    """The rule for records of a type."""
    return next(rule for rule in RULES if type in rule.types or not rule.types)


def check_retention(config: Config, rows: Iterable[Row], type: str | None = None) -> None:
    """Raise RetentionDuty if a rule keeps records of `type`, of every type without it, of the chart with these rows."""
    last: dict[str, int] = {}
    for row in rows:
        if row.type not in LEAF_TYPES:
            rule = rule_of(row.type)
            last[rule.name] = max(last.get(rule.name, 0), row.time_ms)
    now = datetime.now(UTC)
    for rule in RULES:
        years = int(config.value(rule.setting))
        if not years or rule.name not in last or (type is not None and rule_of(type) is not rule):
            continue
        until = add_years(datetime.fromtimestamp(last[rule.name] / 1000, UTC), years)
        if now < until:
            raise RetentionDuty(
                f"the rule {rule.name} ({years} years after the last entry) forbids it until {until.date()}",
                hint=f"{rule.setting} sets the years; a duty that does not bind you is 0",
            )


def add_years(day: datetime, years: int) -> datetime:
    """The same day in a later year; for 29 February the first of March where there is none."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, month=3, day=1)
