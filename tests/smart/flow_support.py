"""An authorisation server over a registry in memory: people, programs, and the way from a request to tokens."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from careledger.access.actor import Actor
from careledger.access.tokens import TokenIssuer, TokenVerifier
from careledger.primitives.hashing import sha256
from careledger.smart import authorising, issuing, requests
from careledger.smart.accounts import Account, Kind, add_account
from careledger.smart.authorising import AskConsent, Redirect
from careledger.smart.clients import Client, add_client
from careledger.smart.errors import OAuthError
from careledger.smart.issuing import Server, Standing
from careledger.smart.keys import ensure_keys
from careledger.smart.passkeys import Passkey, Verified, keep_passkey
from careledger.smart.registration import Draft, make_client
from careledger.smart.requests import Pending, RedirectedError
from careledger.smart.sessions import SignedIn, open_session
from careledger.smart.tables import Found, base64url
from tests.smart.forging import NOW_MS, Clock, run
from tests.smart.registry import MemoryRegistry

BASE = "https://clinic.example/fhir"
REDIRECT = "https://app.example/callback"
VERIFIER = "v" * 20 + "erifier-of-the-code-" + "x" * 20
CHALLENGE = base64url(sha256(VERIFIER.encode()))
STATE = "state-that-nobody-guesses"


class House:
    """One server with a patient, a clinician, an administrator, a public app and a confidential one."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.registry = MemoryRegistry(self.clock)
        self.revoked: set[str] = set()
        self.suspended: set[str] = set()
        issuer = TokenIssuer(b"t" * 32, "did:careledger:00", "cl-0", self.clock)
        self.verifier = TokenVerifier(
            issuer.public_key, "did:careledger:00", "cl-0", self.revoked.__contains__, self.clock
        )
        self.server = Server(
            registry=self.registry,
            issuer=issuer,
            base=BASE,
            public_url="https://clinic.example",
            organisation="did:careledger:00",
            revoke=self._revoke,
            standing=lambda did: Standing(did not in self.suspended, ("physician",)),
            now_ms=self.clock,
        )
        run(ensure_keys(self.registry, NOW_MS))
        self.ana = self.account("patient", "Patient/ana")
        self.ben = self.account("patient", "Patient/ben")
        self.doctor = self.account("clinician", "Practitioner/doctor", did="did:careledger:dd")
        self.admin = self.account("administrator", "")
        self.app = self.client(
            "none",
            "openid fhirUser launch launch/patient offline_access online_access patient/*.rs user/*.rs",
        )
        self.other = self.client("none", "openid patient/*.rs offline_access")

    async def _revoke(self, ids: Iterable[str]) -> None:
        self.revoked.update(ids)

    def account(self, kind: Kind, fhir_user: str, did: str = "") -> SignedIn:
        """Somebody who is signed in."""
        account = Account(
            id=secrets.token_hex(8),
            kind=kind,
            name="Somebody",
            fhir_user=fhir_user,
            did=did,
            created_ms=NOW_MS,
        )
        run(add_account(self.registry, account))
        passkey = Passkey(
            id=secrets.token_bytes(32), account=account.id, public=b"", algorithm=-7, sign_count=0, created_ms=NOW_MS,
            used_ms=NOW_MS, label="", is_backup_eligible=False, is_backed_up=False, prf=False,
        )  # fmt: skip
        run(self.registry.change(*keep_passkey(self.registry, passkey)))
        _, signed_in = run(open_session(self.registry, Verified(account, passkey), "", NOW_MS))
        return signed_in

    def client(self, method: str, scope: str, **changes: Any) -> Client:
        """A program for people."""
        given: dict[str, Any] = {
            "name": "App", "scope": scope, "method": method, "redirect_uris": (REDIRECT,),
            "grant_types": ("authorization_code", "refresh_token"),
        } | changes  # fmt: skip
        client, _ = make_client(Draft(**given), NOW_MS)
        run(add_client(self.registry, client))
        return client

    def asked(self, **changes: str) -> dict[str, str]:
        """The parameters of a good request of the app, with changes; "" leaves one out."""
        given = {
            "response_type": "code",
            "client_id": self.app.id,
            "redirect_uri": REDIRECT,
            "scope": "openid fhirUser launch/patient offline_access patient/*.rs",
            "state": STATE,
            "aud": BASE,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "nonce": "nonce-of-the-app",
        }
        return {name: value for name, value in (given | changes).items() if value}

    def begin(self, **changes: str) -> Found[Pending]:
        """A checked request that waits for its person."""
        request = requests.read_request(self.registry, self.asked(**changes), BASE)
        ticket = run(requests.keep(self.registry, request, self.clock()))
        return requests.find_pending(self.registry, ticket)

    def allow(self, who: SignedIn, patient: str = "", days: int = 30, **changes: str) -> dict[str, str]:
        """All steps, everything allowed: the parameters that the app gets back."""
        pending = self.begin(**changes)
        step = run(authorising.next_step(self.server, pending, who))
        pending = self.again(pending)
        if isinstance(step, authorising.ChoosePatient):
            run(authorising.choose_patient(self.server, pending, who, patient))
            pending = self.again(pending)
            step = run(authorising.next_step(self.server, pending, who))
            pending = self.again(pending)
        if isinstance(step, AskConsent):
            kept = tuple(str(step.offered).split())
            step = run(authorising.answer(self.server, pending, who, kept, days))
        assert isinstance(step, Redirect)
        return self.answered(step)

    def again(self, pending: Found[Pending]) -> Found[Pending]:
        """The request as it stands now."""
        found = requests.PENDING.get(self.registry, pending.key)
        return pending if found is None else found

    def answered(self, step: Redirect) -> dict[str, str]:
        """What the app reads in its callback."""
        assert step.url.startswith(REDIRECT + "?")
        return dict(parse_qsl(urlsplit(step.url).query, strict_parsing=True))

    def token(self, client: Client | None = None, jkt: str = "", **parameters: str) -> dict[str, Any]:
        """The token end point."""
        return run(issuing.issue(self.server, client or self.app, parameters, jkt))

    def redeem(self, code: str, **changes: str) -> dict[str, Any]:
        """A code for tokens."""
        given = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER,
        } | changes
        return self.token(**given)

    def refresh(self, token: str, client: Client | None = None, **changes: str) -> dict[str, Any]:
        """A refresh token for new ones."""
        return self.token(client, grant_type="refresh_token", refresh_token=token, **changes)

    def actor(self, answer: dict[str, Any]) -> Actor:
        """Who comes with the access token, as FHIR sees them."""
        return self.verifier.read(answer["access_token"].encode())


def refusal(work: Any) -> OAuthError:
    """The refusal that `work` ends with, whether the person or the program is told."""
    try:
        work()
    except OAuthError as error:
        return error
    except RedirectedError as error:
        return error.error
    raise AssertionError("accepted")
