"""Commitments of one value, over and over, and somebody who knows the whole record but no salt (fault catalogue G7).

Used sampled by the tests, at length by the campaign.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from careledger.vault.commitments import Kind, body_hash, commit, derive, first_six, header
from careledger.vault.envelope import ChartKeys, open_meta, seal_version

TIME_MS = 1_790_000_000_000
AUTHOR = "client:app"
BODY = b'{"resourceType":"Observation","id":"o","status":"final","valueQuantity":{"value":72.5,"unit":"kg"}}'
UNIFORM_MAX = 255 + 7 * 22.6
"""Chi squared of 256 equally likely bytes: mean 255, deviation 22.6; seven of them happen to nobody."""


@dataclass(slots=True)
class Commitments:
    """Versions that differ in nothing that is committed to: one chart, type, id, number, time, author and body."""

    chart: ChartKeys
    leaves: set[bytes] = field(default_factory=set)
    salts: set[bytes] = field(default_factory=set)
    secrets: set[bytes] = field(default_factory=set)
    nonces: set[bytes] = field(default_factory=set)
    lengths: set[tuple[int, int]] = field(default_factory=set)
    disclosed: list[bytes] = field(default_factory=list)
    """Salts of every second one: somebody was shown those."""
    withheld: set[bytes] = field(default_factory=set)
    """Leaves of the others."""
    bytes: list[int] = field(default_factory=lambda: [0] * 256)

    def seal(self, count: int) -> None:
        """Seal so many more."""
        for number in range(count):
            sealed = seal_version(self.chart, Kind.VERSION, "Observation", "o", 1, TIME_MS, AUTHOR, BODY)
            secret = open_meta(self.chart, sealed.leaf, sealed.meta).secret
            _, salt = derive(secret)
            self.leaves.add(sealed.leaf)
            self.salts.add(salt)
            self.secrets.add(secret)
            self.nonces.add(sealed.meta[:12])
            self.lengths.add((len(sealed.meta), len(sealed.body)))
            for byte in sealed.leaf:
                self.bytes[byte] += 1
            if number % 2:
                self.disclosed.append(salt)
            else:
                self.withheld.add(sealed.leaf)

    def find_problems(self, count: int) -> list[str]:
        """What is wrong with `count` of them; empty if each is unlike every other."""
        wrong = [
            f"{name}: {len(found)} of {count} are distinct"
            for name, found in (
                ("commitments", self.leaves),
                ("salts", self.salts),
                ("secrets", self.secrets),
                ("nonces", self.nonces),
            )
            if len(found) != count
        ]
        if any(len(one) != 32 for one in itertools.chain(self.leaves, self.salts, self.secrets)):
            wrong.append("a commitment, salt or secret has not 32 bytes")
        if len(self.lengths) != 1:
            wrong.append(f"one value is sealed in {len(self.lengths)} lengths")
        mean = count * 32 / 256
        chi_squared = sum((found - mean) ** 2 / mean for found in self.bytes)
        if chi_squared > UNIFORM_MAX:
            wrong.append(f"bytes of commitments are not uniform: chi squared is {chi_squared:.0f}")
        return wrong

    def guess(self, tries: int) -> tuple[int, int]:
        """(guesses, hits) of somebody who knows the whole record and the salts of the disclosed, but no other salt."""
        six = first_six(self.chart.place, Kind.VERSION, "Observation", "o", 1)
        made = hits = 0
        for salt in itertools.chain(self.disclosed, itertools.islice(self._salts(six), tries)):
            for digest in (body_hash(salt, BODY), body_hash(b"", BODY)):
                hits += commit(salt, header(six, TIME_MS, AUTHOR, digest)) in self.withheld
                made += 1
        return made, hits

    def _salts(self, six: bytes) -> Iterator[bytes]:
        """Salts as somebody would make them who should not: none, short, counted, timed, derived, badly drawn."""
        yield b""
        known = (
            BODY,
            six,
            six + BODY,
            self.chart.handle,
            self.chart.organisation,
            TIME_MS.to_bytes(8, "big"),
        )
        for number in itertools.count():
            yield from (number.to_bytes(size, "big") for size in (1, 2) if number < 256**size)
            yield number.to_bytes(32, "big")
            yield number.to_bytes(32, "little")
            yield (TIME_MS - number).to_bytes(32, "big")
            yield random.Random(number).randbytes(32)
            yield random.Random(TIME_MS - number).randbytes(32)
            counted = number.to_bytes(8, "big")
            for one in known:
                secret = body_hash(b"", one + counted)
                yield secret
                yield derive(secret)[1]


def new_commitments() -> Commitments:
    """Of a chart with keys of its own."""
    return Commitments(ChartKeys(b"\1" * 32, b"\2" * 32, 1, b"\3" * 32, b"\4" * 32))
