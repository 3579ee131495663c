"""Rewriting the links inside a Bundle: `urn:uuid:…`, other fullUrls, and conditional references.

R4 http.html#trules: links are replaced where they are references: in Reference.reference, in elements of type uri,
url, oid and uuid, and in `href` and `src` of a narrative; never in canonicals or plain strings. Two ways lead to
the same result: over the bytes (fast, for JSON without escapes) and over the decoded tree (for the rest).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from careledger.fhir import json
from careledger.fhir.refusals import Refused

URI_PROPERTIES = frozenset(
    {"url", "uri", "valueUri", "valueUrl", "valueUuid", "valueOid", "sourceUri", "contentUri"}
)
"""JSON properties of type uri, url, oid or uuid that point at things. (`system` names a code system: left alone.)"""

# Only for JSON without a backslash: there, a name in quotes before a colon is a property and nothing else.
_REFERENCE = re.compile(rb'("reference"\s*:\s*")([^"#][^"]*)"')
_URI = re.compile(rb'("(?:' + "|".join(sorted(URI_PROPERTIES)).encode() + rb')"\s*:\s*")([^"]+)"')
_NARRATIVE_LINK = re.compile(r"""\b(href|src)=(["'])([^"']+)\2""")
_CONDITIONAL = re.compile(r"[A-Z][A-Za-z]{1,63}\?")

Find = Callable[[str], str]
"""From `Type?criteria` to `Type/id`; raises Refused if it matches nothing or more than one."""


class Links:
    """Where the links of one Bundle lead. `targets` maps a fullUrl to `Type/id`."""

    __slots__ = ("_bytes", "_find", "_mark", "_relative", "_urn", "targets")

    def __init__(self, find: Find, *, urn: bool = True) -> None:
        self.targets: dict[str, str] = {}
        self._find = find
        self._urn = urn
        self._bytes: dict[bytes, bytes] = {}
        self._relative = False
        self._mark = (
            b"urn:uuid:"  # what every target begins with: the longer, the faster it is seen to be absent
        )

    def add(self, full_url: str, target: str) -> None:
        """Note what an entry becomes. Raises Refused(400) if two entries share a fullUrl."""
        if full_url in self.targets:
            raise Refused(400, "invalid", "Two entries have one fullUrl.", where="fullUrl")
        self.targets[full_url] = target
        self._bytes[full_url.encode("utf-8", "replace")] = target.encode()
        if not full_url.startswith("urn:uuid:"):
            self._mark = b"urn:"
            self._relative = self._relative or not full_url.startswith("urn:")

    def load(self, raw: bytes, full_url: str = "") -> json.Received:
        """The strictly decoded resource with its links replaced. Raises Refused for a link that leads nowhere."""
        if b"\\" in raw or self._relative:
            return json.Received(self._rewrite_tree(json.loads(raw), _base_of(full_url)))
        raw = self._rewrite_references(raw)
        if self._mark not in raw:
            return json.receive(raw)
        if self.targets:
            raw = _URI.sub(self._replace_uri, raw)
        new = json.receive(raw)
        if "text" in new.resource and self._mark in raw and _rewrite_narrative(new.resource, self.targets):
            return json.Received(new.resource)
        return new

    def _rewrite_references(self, raw: bytes) -> bytes:
        """Compact JSON is cut at its references, which takes a third of the time of the expression for all JSON."""
        parts = raw.split(b'"reference"')
        for place in range(1, len(parts)):
            part = parts[place]
            end = part.find(b'"', 2)
            if part[:2] != b':"' or end < 0:
                return _REFERENCE.sub(self._replace_reference, raw)
            old = part[2:end]
            parts[place] = b':"' + (self._bytes.get(old) or self._lead_bytes(old)) + part[end:]
        return b'"reference"'.join(parts)

    def _replace_reference(self, found: re.Match[bytes]) -> bytes:
        old = found[2]
        return found[1] + (self._bytes.get(old) or self._lead_bytes(old)) + b'"'

    def _lead_bytes(self, old: bytes) -> bytes:
        if old[:1] in (b"", b"#"):
            return old
        new = self.lead(old.decode("utf-8", "replace"), "").encode("utf-8", "replace")
        self._bytes[old] = new
        return new

    def _replace_uri(self, found: re.Match[bytes]) -> bytes:
        old = found[2].decode("utf-8", "replace")
        return found[1] + self.targets[old].encode() + b'"' if old in self.targets else found[0]

    def lead(self, reference: str, base: str) -> str:
        """What `reference` becomes; itself if it is no link of the Bundle."""
        target = self.targets.get(reference)
        if target is None and base:
            target = self.targets.get(base + reference)
        if target is not None:
            return target
        if reference.startswith(("urn:uuid:", "urn:oid:")) and self._urn:
            raise Refused(
                400,
                "not-found",
                "A urn reference matches no fullUrl of the Bundle.",
                hint="Add the entry, or refer to a stored resource as Type/id.",
            )
        if _CONDITIONAL.match(reference):
            return self._find(reference)
        return reference

    def _rewrite_tree(self, root: Any, base: str) -> Any:
        """Every object below `root`, without recursion; `root` itself is changed."""
        pending = [root]
        while pending:
            node = pending.pop()
            if isinstance(node, list):
                pending.extend(child for child in node if isinstance(child, (dict, list)))
                continue
            if not isinstance(node, dict):
                continue
            for name, value in node.items():
                if isinstance(value, (dict, list)):
                    pending.append(value)
                elif isinstance(value, str):
                    if name == "reference":
                        if value[:1] != "#":
                            node[name] = self.lead(value, base)
                    elif name in URI_PROPERTIES and value in self.targets:
                        node[name] = self.targets[value]
            if "div" in node:
                _rewrite_div(node, self.targets)
        return root


def _base_of(full_url: str) -> str:
    """The base against which relative references of an entry resolve (R4 bundle.html#references)."""
    parts = full_url.rsplit("/", 2)
    return parts[0] + "/" if len(parts) == 3 and full_url.startswith("http") else ""


def _rewrite_narrative(resource: dict[str, Any], targets: dict[str, str]) -> bool:
    """Whether a link was looked for in the text."""
    text = resource["text"]
    return isinstance(text, dict) and _rewrite_div(text, targets)


def _rewrite_div(text: dict[str, Any], targets: dict[str, str]) -> bool:
    div = text.get("div")
    if not isinstance(div, str) or ("href=" not in div and "src=" not in div):
        return False
    text["div"] = _NARRATIVE_LINK.sub(
        lambda found: f"{found[1]}={found[2]}{targets.get(found[3], found[3])}{found[2]}", div
    )
    return True
