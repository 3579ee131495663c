"""EHR launches: the context (patient, encounter, intent) that a signed-in clinician opens an app with.

The app gets an opaque `launch` value in its launch URL and gives it back with its authorisation request; it holds
for five minutes, for the account that made it and the client it was made for, once (SMART App Launch 2.2, "Launch app: EHR launch").
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from careledger.primitives.errors import Invalid
from careledger.smart.errors import OAuthError
from careledger.smart.tables import Table, new_secret, secret_key
from careledger.vault.registry import Registry, RegistryMoved

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_WORD = re.compile(r"[!-~]{0,64}", re.ASCII)
LAUNCH_MS: Final = 5 * 60_000
CONTEXTS: Final = ("patient", "encounter", "intent", "need_patient_banner", "smart_style_url")


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What a launch establishes."""

    client: str
    account: str
    context: dict[str, str]


LAUNCHES: Final = Table("request", Launch, b"launch.")


def read_context(patient: str, encounter: str, intent: str) -> dict[str, str]:
    """What somebody typed as a context, ids as programs are told them: bare. Raises Invalid."""
    found = {
        "patient": patient.strip().removeprefix("Patient/"),
        "encounter": encounter.strip().removeprefix("Encounter/"),
        "intent": intent.strip(),
    }
    if any(found[name] and not is_id(found[name]) for name in ("patient", "encounter")):
        raise Invalid(
            "this is not the id of a record", hint="letters, digits, - and .", code="launch-context"
        )
    if not _WORD.fullmatch(found["intent"]):
        raise Invalid(
            "an intent is one word", hint="for example reconcile-medications", code="launch-context"
        )
    return {name: text for name, text in found.items() if text}


def is_id(text: str) -> bool:
    """Whether it can be the id of a resource."""
    return _ID.fullmatch(text) is not None


async def begin(registry: Registry, launch: Launch, now_ms: int) -> str:
    """The `launch` value for the app's URL."""
    value = new_secret()
    key = secret_key("cl1.launch", value)
    await registry.change(LAUNCHES.put(key, launch, expected=0, expires_ms=now_ms + LAUNCH_MS))
    return value


async def take(registry: Registry, value: str, client: str, account: str) -> dict[str, str]:
    """The context of a launch, once; of another program's or person's there is none. Raises OAuthError."""
    found = LAUNCHES.get(registry, secret_key("cl1.launch", value))
    if found is None or (found.value.client, found.value.account) != (client, account):
        raise _unknown()
    try:
        await registry.change(LAUNCHES.drop(found))
    except RegistryMoved:
        raise _unknown() from None
    return {name: text for name, text in found.value.context.items() if name in CONTEXTS}


def _unknown() -> OAuthError:
    return OAuthError(
        "invalid_request",
        "this launch has ended or is not yours",
        hint="launch the app again from the record",
        code="launch-unknown",
    )
