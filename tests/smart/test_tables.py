"""Names that people type: any of them can stand in a command."""

from __future__ import annotations

from careledger.smart import tables
from careledger.smart.accounts import new_account_id
from careledger.smart.grants import new_grant_id
from careledger.smart.registration import Draft, make_client


def test_no_id_is_taken_for_an_option(monkeypatch) -> None:
    drawn = iter(
        [b"\xf8" + bytes(15), b"\xfb" + bytes(15), b"\x00" * 16] * 3
    )  # the first two begin with a hyphen
    monkeypatch.setattr(tables.secrets, "token_bytes", lambda size: next(drawn))
    draft = Draft(name="App", scope="openid", method="none", redirect_uris=("https://app.example/cb",))
    for id in (new_account_id(), new_grant_id(), make_client(draft, 0)[0].id):
        assert len(id) == 22 and not id.startswith("-")
