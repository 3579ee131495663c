"""How directives stand in a chart: opened from its leaves, bound by its enrolled key, as the ledger says at a height."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from careledger.access.actor import Actor
from careledger.access.decision import AccessRequest, decide
from careledger.access.directives import (
    ANYBODY_TERM,
    Coding,
    ControllerLeaf,
    DirectiveLeaf,
    Grantee,
    Text,
    compute_commitment,
    compute_key_id,
    decode_leaf,
    encode_leaf,
    encode_text,
    grantee_term,
    leaf_terms,
    to_base64,
)
from careledger.access.grants import continuation
from careledger.access.patient_keys import PatientKey
from careledger.access.scopes import parse_scopes
from careledger.access.standing import Standing
from careledger.contracts.consent import ACTIVE, ENTRY, REVOKED, Entry, compute_key_hash, entry_key
from careledger.primitives.hashing import sha256
from careledger.vault.commitments import Kind
from careledger.vault.model import CONTROLLER_TYPE, DIRECTIVE_TYPE, HOUSE_CHART, Commit, ResourceWrite
from tests.fhir.fakes import FakeSnapshot, FakeStore

ADA, BEN = (PatientKey(bytes([number]) * 32) for number in (1, 2))
HOUSE, PAYER, OTHER = ("did:careledger:" + letter * 64 for letter in "abc")
ORGANISATION = bytes(32)
DAY = 20_000
TO_PAYER = Grantee(kind="organisation", value=PAYER)
TO_QUILL = Grantee(kind="practitioner", value="quill")


class Snapshot(FakeSnapshot):
    """Of the fakes' store, with a ledger; counts what is opened."""

    def __init__(self, world: World) -> None:
        super().__init__(world.store, [0])
        self.height = world.height
        self.ledger_height = world.height
        self._world = world

    def former_state(self, key: bytes) -> bytes | None:
        return None

    def state(self, key: bytes) -> bytes | None:
        self._world.looked += 1
        return self._world.ledger.get(key)

    def columns(self, chart: int, start: int = 0) -> Any:
        self._world.opened += 1
        return super().columns(chart, start)


class World:
    """Charts of patients who decide; a ledger beside."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.ledger: dict[bytes, bytes] = {}
        self.height = 1
        self.looked = self.opened = 0

    def snapshot(self) -> Snapshot:
        return Snapshot(self)

    def write(self, type: str, id: str, patient: str, body: bytes | None, version: int = 0) -> None:
        terms = leaf_terms(type, body) if body else ()
        kind = {DIRECTIVE_TYPE: Kind.DIRECTIVE, CONTROLLER_TYPE: Kind.GUARDIAN}.get(type, Kind.VERSION)
        write = ResourceWrite(type, id, version, body, 1, (patient,), chart_terms=terms, kind=int(kind))
        self.store.apply(Commit((write,)))
        self.height += 1

    def chart(self, patient: str) -> int:
        return self.store.charts[patient]

    def enrol(self, patient: str, key: PatientKey, signed: PatientKey | None = None) -> None:
        continues = to_base64(signed.bind(continuation(key.public))) if signed else ""
        leaf = ControllerLeaf(
            continues=continues, format="careledger/controller/1", key=to_base64(key.public)
        )
        self.write(CONTROLLER_TYPE, compute_key_id(key.public), patient, encode_leaf(leaf))

    def leaf(self, patient: str, key: PatientKey, number: int = 0, **text: Any) -> tuple[str, DirectiveLeaf]:
        """A directive as the patient's device makes it, for her chart."""
        handle = self.chart(patient).to_bytes(32, "big")
        given = {
            "actions": ("access",),
            "categories": (),
            "effect": "permit",
            "format": "careledger/directive/1",
            "from_day": DAY,
            "grantees": (TO_PAYER,),
            "handle": to_base64(handle),
            "labels": (),
            "nonce": to_base64(bytes([number]) * 32),
            "organisation": to_base64(ORGANISATION),
            "purposes": ("TREAT",),
            "supersedes": "",
            "types": (),
            "until_day": DAY + 9,
        }
        encoded = encode_text(Text(**{**given, **text}))
        salt = sha256(b"salt")
        commitment = compute_commitment(salt, encoded)
        return commitment.hex(), DirectiveLeaf(
            binding=to_base64(key.bind(commitment)),
            consent="",
            controller=compute_key_id(key.public),
            key=to_base64(key.directive_key(bytes([number]) * 32)),
            salt=to_base64(salt),
            text=to_base64(encoded),
        )

    def grant(self, patient: str, key: PatientKey, number: int = 0, **text: Any) -> str:
        id, leaf = self.leaf(patient, key, number, **text)
        self.write(DIRECTIVE_TYPE, id, patient, encode_leaf(leaf))
        self.enter(id, key.directive_key(bytes([number]) * 32))
        return id

    def enter(self, id: str, public: bytes, status: int = ACTIVE, until_day: int = DAY + 9) -> None:
        self.height += 1
        entry = Entry(status, compute_key_hash(public), until_day, bytes(32), self.height)
        self.ledger[entry_key(bytes.fromhex(id))] = ENTRY.encode(entry)

    def revoke(self, id: str, key: PatientKey, number: int = 0) -> None:
        self.enter(id, key.directive_key(bytes([number]) * 32), REVOKED)


def caller(organisation: str = PAYER, **rest: Any) -> Actor:
    return Actor("s", "c", organisation, parse_scopes("system/*.rs"), **rest)


@pytest.fixture
def world() -> World:
    """Ada's chart with her key and one permit for the payer; Ben's with his."""
    made = World()
    for patient, key in (("ada", ADA), ("ben", BEN)):
        made.write("Patient", patient, patient, b"{}")
        made.enrol(patient, key)
    return made


def stands(world: World, standing: Standing, patient: str = "ada") -> list[tuple[str, bool]]:
    with world.snapshot() as snapshot:
        found = standing.directives(snapshot, world.chart(patient), caller())
    return [(one.status, one.bound) for one in found]


def test_a_directive_stands_as_the_ledger_says_at_each_height(world):
    """Opened charts too: what was looked at before does not outlive its block."""
    standing = Standing()
    assert stands(world, standing) == []
    id, leaf = world.leaf("ada", ADA)
    world.write(DIRECTIVE_TYPE, id, "ada", encode_leaf(leaf))
    assert stands(world, standing) == [("unknown", True)]
    world.enter(id, ADA.directive_key(bytes(32)))
    assert stands(world, standing) == [("active", True)]
    opened, looked = world.opened, world.looked
    assert stands(world, standing) == [("active", True)]
    assert (world.opened, world.looked) == (opened, looked), "one height is looked at once"
    world.revoke(id, ADA)
    assert stands(world, standing) == [("revoked", True)]
    with world.snapshot() as snapshot:
        (one,) = standing.all_directives(snapshot, world.chart("ada"))
        assert (one.id, one.height) == (id, world.height)


def test_a_directive_counts_only_if_the_charts_enrolled_key_bound_it(world):
    """Forged by the custodian, bound by another patient, or taken from another chart or organisation."""
    standing = Standing()
    forger = PatientKey(bytes([9]) * 32)
    world.grant("ada", forger, 1)
    world.grant("ada", BEN, 2)
    id, leaf = world.leaf("ben", ADA, 3)  # made for Ben's chart, put into hers
    world.write(DIRECTIVE_TYPE, id, "ada", encode_leaf(leaf))
    world.grant("ada", ADA, 4, organisation=to_base64(bytes([7]) * 32))
    id, leaf = world.leaf("ada", ADA, 5)
    other, _ = world.leaf("ada", ADA, 6)
    world.write(DIRECTIVE_TYPE, other, "ada", encode_leaf(leaf))  # opens to another commitment
    world.grant("ada", ADA, 7)
    with world.snapshot() as snapshot:
        found = standing.all_directives(snapshot, world.chart("ada"))
    assert [one.bound for one in found] == [False, False, False, False, False, True]


def test_a_chart_without_an_enrolled_key_has_no_bound_directive():
    world = World()
    world.write("Patient", "ada", "ada", b"{}")
    world.grant("ada", ADA)
    assert stands(world, Standing()) == [("active", False)]
    world.enrol("ada", ADA)
    assert stands(world, Standing()) == [("active", False)], "a key binds what comes after it"


def test_a_key_follows_its_predecessor_or_is_none(world):
    """A replaced key binds nothing new; a key that the one before did not sign is no key of the chart."""
    standing = Standing()
    new, thief = (PatientKey(bytes([number]) * 32) for number in (7, 8))
    world.grant("ada", ADA, 1)
    world.enrol("ada", thief)
    world.grant("ada", thief, 2)
    world.grant("ada", ADA, 3)
    world.enrol("ada", new, signed=ADA)
    world.grant("ada", ADA, 4)
    world.grant("ada", new, 5)
    with world.snapshot() as snapshot:
        found = standing.all_directives(snapshot, world.chart("ada"))
    assert [one.bound for one in found] == [True, False, True, False, True]


def test_an_entry_under_another_key_or_for_another_time_is_another_directives(world):
    standing = Standing()
    id = world.grant("ada", ADA)
    world.enter(id, BEN.directive_key(bytes(32)))
    assert stands(world, standing) == [("unknown", True)]
    world.enter(id, ADA.directive_key(bytes(32)), until_day=DAY + 10)
    assert stands(world, standing) == [("unknown", True)]
    world.enter(id, ADA.directive_key(bytes(32)))
    assert stands(world, standing) == [("active", True)]


def test_what_comes_later_neither_changes_nor_removes_a_directive(world):
    id = world.grant("ada", ADA, effect="deny")
    standing = Standing()
    world.write(DIRECTIVE_TYPE, id, "ada", None, 1)
    for one in (standing, Standing()):
        assert stands(world, one) == [("active", True)]


def test_leaves_that_cannot_be_read_have_no_force(world):
    id, leaf = world.leaf("ada", ADA)
    broken = msgspec.structs.replace(leaf, key="?")
    world.write(DIRECTIVE_TYPE, "no commitment", "ada", encode_leaf(leaf))
    world.write(DIRECTIVE_TYPE, id, "ada", encode_leaf(broken))
    standing = Standing()
    assert stands(world, standing) == []
    world.grant("ada", ADA, 1)
    assert stands(world, standing) == [("active", True)]


def test_those_that_do_not_concern_a_caller_change_no_decision(world):
    """A caller gets those that name him and those that supersede one that does; decisions are as with all."""
    category = (Coding(code="psy", system="s"),)
    first = world.grant("ada", ADA, 1)
    denied = world.grant("ada", ADA, 2, effect="deny", categories=category)
    world.grant("ada", ADA, 3, grantees=(TO_QUILL,), supersedes=denied)
    world.grant("ada", ADA, 4, grantees=(TO_QUILL,), effect="deny")
    world.grant("ada", ADA, 5, grantees=(Grantee(kind="role", value="nurse"),))
    standing = Standing()
    with world.snapshot() as snapshot:
        chart = world.chart("ada")
        everything = standing.all_directives(snapshot, chart)
        assert len(everything) == 5
        assert {one.id for one in standing.directives(snapshot, chart, caller())} == {
            first, denied, everything[2].id,
        }  # fmt: skip
        for organisation in (HOUSE, PAYER, OTHER):
            for practitioner in ("", "quill", "ada"):
                for roles in ((), ("nurse",)):
                    actor = caller(organisation, practitioner=practitioner, roles=roles)
                    some = standing.directives(snapshot, chart, actor)
                    request = AccessRequest("read", "Observation", ("?",), HOUSE, category, DAY * 86_400_000)
                    assert decide(request, actor, some, (), 1) == decide(request, actor, everything, (), 1)


def test_a_chart_without_directives_is_not_opened(world):
    standing = Standing()
    with world.snapshot() as snapshot:
        for chart in (HOUSE_CHART, world.chart("ada")):
            assert standing.directives(snapshot, chart, caller()) == ()
            assert standing.all_directives(snapshot, chart) == ()
        assert standing.charts(snapshot) == frozenset()
    assert (world.opened, world.looked) == (0, 0)


def test_charts_are_found_by_whom_their_directives_name(world):
    standing = Standing()
    world.grant("ada", ADA, 1)
    world.grant("ben", BEN, 2, grantees=(TO_QUILL,))
    ada, ben = world.chart("ada"), world.chart("ben")
    with world.snapshot() as snapshot:
        assert standing.charts(snapshot) == {ada, ben}
        assert standing.charts_granted(snapshot, caller()) == {ada}
        assert standing.charts_granted(snapshot, caller(HOUSE, practitioner="quill")) == {ben}
        assert standing.charts_granted(snapshot, caller(PAYER, practitioner="quill")) == {ada, ben}
        assert standing.charts_granted(snapshot, caller(OTHER, roles=("quill",))) == frozenset()


def test_only_so_many_directives_are_kept_open(world):
    """The chart asked for least recently is opened again when it is asked for; answers are the same."""
    for patient, key in (("ada", ADA), ("ben", BEN)):
        for number in range(3):
            world.grant(patient, key, number)
    standing = Standing(directives_kept=5)
    for _ in range(2):
        for patient in ("ada", "ben"):
            opened = world.opened
            assert stands(world, standing, patient) == [("active", True)] * 3
            assert world.opened == opened + 1
    opened = world.opened
    standing.clear()
    assert stands(world, standing, "ben") == [("active", True)] * 3
    assert world.opened == opened + 1, "nothing is kept of what was open"


def test_an_older_view_does_not_show_what_a_newer_one_opened(world):
    standing = Standing()
    world.grant("ada", ADA, 1)
    with world.snapshot() as older:
        chart, rows = world.chart("ada"), older.row_count(world.chart("ada"))
        world.grant("ada", ADA, 2)
        assert len(stands(world, standing)) == 2
        older.row_count = lambda chart: rows  # type: ignore[method-assign]
        older.height = world.height - 2
        assert len(standing.directives(older, chart, caller())) == 1


def test_terms_of_a_directive_find_its_chart():
    world = World()
    world.write("Patient", "ada", "ada", b"{}")
    _id, leaf = world.leaf("ada", ADA, grantees=(TO_PAYER, TO_QUILL))
    assert leaf_terms(DIRECTIVE_TYPE, encode_leaf(leaf)) == (
        ANYBODY_TERM, grantee_term(TO_PAYER), grantee_term(TO_QUILL),
    )  # fmt: skip
    assert decode_leaf(encode_leaf(leaf)) == leaf
