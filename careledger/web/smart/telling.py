"""What people are told of how an account came to be: in the log of the chart that it opens, and on its own page."""

from __future__ import annotations

from careledger.smart.accounts import Account, get_account
from careledger.smart.wording import Language
from careledger.web.smart.dates import write_date
from careledger.web.smart.rendering import say
from careledger.web.smart.screens import People


def tell_coming(people: People, what: str, account: Account) -> str:
    """How somebody came to an account, for the log of the chart that it opens."""
    if what == "recovered":
        return "this patient's account was recovered: a new passkey replaced all former ones"
    return f"an account of this patient was made, {tell_inviting(people, account)}"


def tell_inviting(people: People, account: Account) -> str:
    """Who invited, by name: one of the operator's command line, or one or two administrators."""
    if not account.invited_by:
        return "by an invitation of the organisation's operator"
    asked = name_of(people, account.invited_by)
    if not account.approved_by:
        return f"by an invitation of {asked} alone"
    return f"by an invitation of {asked}, approved by {name_of(people, account.approved_by)}"


def name_of(people: People, id: str) -> str:
    """The account's name, its id once it is gone."""
    found = get_account(people.registry, id)
    return found.value.name if found is not None else id


def tell_page(people: People, account: Account, language: Language) -> str:
    """The same for the person, on their own page; '' for an account that was never invited."""
    if not account.created_ms:
        return ""
    key = (
        "me.invited.two" if account.approved_by else "me.invited.one" if account.invited_by else "me.invited"
    )
    return say(key, language).format(
        date=write_date(account.created_ms),
        by=name_of(people, account.invited_by),
        second=name_of(people, account.approved_by),
    )
