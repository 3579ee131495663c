"""How a command reaches its node: one call, whether the home is served or stopped.

The methods and what they take and give are this table; `node` implements the same.

| method | params | result |
|---|---|---|
| status | | served, address, height, charts, resources, journal_bytes, sync_ms, witnesses, problems |
| token.issue | client, scope, patient, practitioner, roles (list), org, purpose, expires_s | token, id, expires (ISO 8601) |
| token.revoke | token (the token or its id) | id |
| account.invite | kind, name, fhir_user, did, roles, duties | code, link, days |
| account.list | | accounts (list of id, kind, name, fhir_user, did, roles, duties, disabled) |
| account.disable, account.enable | id | id, grants_ended (of disable) |
| account.personas | personas (list of kind, name, fhir_user, duties) | personas (count) |
| client.add | name, scope, method, redirect_uris, grant_types, jwks (text), dpop_bound, launch_uri, id_token_alg, organisation | a row of client.list, secret |
| client.list | | clients (list of id, name, method, grant_types, scope, redirect_uris, dpop, disabled, by) |
| client.disable | id | id, grants_ended |
| receipt | reference (`TYPE/ID[/_history/V]`), witnessed | file (text of the receipt) |
| checkpoint | | file (text of the checkpoint), missing (witnesses that have not signed it) |
| chart.export | patient (or `house`), path (absolute), since (text of a checkpoint, optional), witnessed; progress | path, bytes, entries, accesses |
| access_log.export | as chart.export | as chart.export; entries is 0 |
| access_log | patient | entries (list of index, time, actor, client, organisation, purpose, kind, what, permitted, rule, directives, roles, subject, height, versions, request) |
| chart.copy | patient, path (absolute) | path, bytes, entries |
| copy.key | patient | key, epoch, key_id, credential, recovery |
| copy.keep | patient, epoch, key_id, wraps (encoded) | kinds (list) |
| copy.look | patient | kinds (list) |
| patient.enrol | patient, key, continues (bytes; b"" for a first key) | key_id, height, enrolments |
| consent.prepare | patient, or id of a directive in the chart; dids, practitioners (ids) | patient, organisation, handle, chain, key, kinds (DID -> kind, known), strangers (list), delay_s, genesis_hash, sponsor, sequence, valid_until |
| consent.prepare_revocation | id | active, nonce, key, chain, genesis_hash, sponsor, sequence, valid_until |
| consent.grant | patient, text, salt, binding, key, revocation_hash, sequence, valid_until, signature | id, consent, height, entry (of the ledger, bytes) |
| consent.revoke | id; code, or key, sequence, valid_until, signature | id, status, height |
| consent.list | patient | patient, key (id), directives (list) |
| consent.explain | actor (a token, or a client's name), reference (`TYPE/ID`) | permit, answer, rule, directives, height |
| erase | reference (`TYPE/ID/_history/V`), reason | erased, height |
| shred | patient, reason | height, leaves, again (it was shredded before), certificate (text of the receipt) |
| import | paths (absolute); progress | resources, bundles, failures (list of source, message) |
| fsck | trust (text of a checkpoint, optional); progress | ok, checked (counts), problems (list of text) |
| backup | path (absolute); progress | path, bytes, height |
| doctor | | ok, checks (list of name, ok, detail, hint) |
| upgrade | | before, after, changed |
| org.request | operator (DID), end_points | file (text of the request) |
| org.admit | file (text of the request) | did, name, height |
| org.deactivate | did | did, height |
| org.list | | organisations (list of did, name, active, operator, roles, end_points, height) |
| practitioner.prepare | | chain, genesis_hash, sponsor, sequence, valid_until |
| practitioner.register | algorithm, key, signature, sequence, valid_until, roles (list) | did, height |
| practitioner.look | did, keys (list of algorithm, key) | algorithm, key, owners (list of DIDs) |
| practitioner.rotate | algorithm, key, signature, sequence, valid_until, did | did, height |
| practitioner.sign | algorithm, key, signature, sequence, valid_until, did, statement (32 bytes) | did, statement, height |
| practitioner.suspend | did | did, height |
| practitioner.reinstate | did | did, height |
| practitioner.license | did, role, until (days since 1970) | did, role, until, height |
| practitioner.list | | practitioners (list of did, standing, roles, licences (list of role, until), height) |
| parameters.show | | height, profile, parameters (list of name, value, least, most, meaning) |
| parameters.set | name, value | name, value, height |
| governance.propose | what, days, at_height; file, did, validator, weight, name, value as it needs | as a row of governance.list, block |
| governance.vote | number, is_for, hash | as a row of governance.list, block |
| governance.list | | height, weight, validators (list), proposals (list of number, by, status, hash, votes_for, votes_against, weight, actions) |
| ledger.adopt | | adopted (height, 0 if it was before), followed (messages), height |
| network.describe | rpc (list), address | file (text), height, hash |
| network.admit_peer | peer (`NODE-ID@HOST:PORT`) | peer |
| config | | did, name, home, settings (name -> value, origin) |
"""

from __future__ import annotations

import re
from typing import Any, Final

from careledger.cli.errors import UsageError
from careledger.cli.options import NodeOptions, get_home, get_passphrase
from careledger.cli.output import Progress

_REFERENCE: Final = re.compile(
    r"/?[A-Z][A-Za-z]{1,63}/[A-Za-z0-9\-.]{1,64}(/_history/[0-9]{1,10})?/?", re.ASCII
)
"""TYPE/ID, or TYPE/ID/_history/V."""


def call(
    options: NodeOptions, method: str, params: dict[str, Any] | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Call a method of the node whose home the options name."""
    home = get_home(options)
    passphrase = get_passphrase(home, options)
    from careledger.node import client

    result: dict[str, Any] = client.call(home, method, params or {}, passphrase, progress=progress)
    return result


class Calls:
    """Several calls of one command to one node; its home and passphrase are found, or asked for, once."""

    def __init__(self, options: NodeOptions) -> None:
        self.home = get_home(options)
        self._passphrase = get_passphrase(self.home, options)

    def __call__(self, method: str, **params: Any) -> dict[str, Any]:
        """The node's answer. Raises what the node raises."""
        from careledger.node import client

        result: dict[str, Any] = client.call(self.home, method, params, self._passphrase)
        return result


def check_reference(text: str, forms: str, *, versioned: bool | None = None) -> None:
    """Raises UsageError for what names no resource; `versioned`: whether it must, or must not, name a version."""
    found = _REFERENCE.fullmatch(text)
    if found is None or (versioned is not None and versioned != bool(found[1])):
        what = "version" if versioned else "resource"
        raise UsageError(f"{text!r} names no {what}", hint=forms)


def compute_patient_id(patient: str) -> str:
    """`Patient/ID` and `ID` are the same."""
    return patient.removeprefix("Patient/")
