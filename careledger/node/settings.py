"""Every setting of a node, once: its name, type, default, bounds and meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

MIB = 1024 * 1024

Value = str | int | bool


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. For integers `low` and `high` are inclusive; `choices` is empty where any text will do."""

    name: str  # section.key
    default: Value
    meaning: str
    low: int = 0
    high: int = 0
    choices: tuple[str, ...] = ()


SETTINGS: tuple[Setting, ...] = (
    Setting("server.listen", "127.0.0.1:8080", "address and port to listen on; port 0 takes a free one"),
    Setting("server.workers", 1, "HTTP worker processes; with 1 everything is in one process", 1, 64),
    Setting("server.base_url", "", "FHIR base as clients see it, without /fhir; empty: from listen"),
    Setting("server.tls_cert", "", "PEM file of the certificate chain"),
    Setting("server.tls_key", "", "PEM file of the certificate's key"),
    Setting(
        "server.behind_proxy", False, "a proxy in front ends TLS; allows to listen off loopback without it"
    ),
    Setting("server.gzip_responses", False, "compress large answers for clients that ask for it; costs CPU"),
    Setting("server.backlog", 1024, "connections waiting to be accepted", 1, 65_535),
    Setting("server.max_connections", 1000, "open connections a worker; above it 503", 1, 100_000),
    Setting("server.keep_alive_seconds", 75, "how long an idle connection stays open", 1, 3600),
    Setting("server.header_seconds", 10, "how long a request's head may take", 1, 600),
    Setting("server.body_seconds", 30, "how long a body may take, beside its length at 16 kB/s", 1, 3600),
    Setting("server.request_seconds", 300, "how long an answer may take", 1, 3600),
    Setting("server.write_seconds", 30, "how long a client may leave an answer unread", 1, 3600),
    Setting("server.drain_seconds", 10, "how long running requests get when the server stops", 0, 600),
    Setting("limits.max_body_bytes", 64 * MIB, "largest body of a request, unpacked", 1024, 1024 * MIB),
    Setting("limits.max_header_bytes", 32_768, "largest head of a request", 1024, MIB),
    Setting("limits.max_headers", 100, "most header fields of a request", 8, 1000),
    Setting("limits.max_url_bytes", 16_384, "longest request target", 256, MIB),
    Setting("limits.max_bundle_entries", 50_000, "most entries of a Bundle", 1, 1_000_000),
    Setting("limits.max_page_entries", 1000, "most entries of a page, whatever _count asks", 1, 100_000),
    Setting(
        "limits.max_page_bytes",
        32 * MIB,
        "a page ends early before it holds more; one resource it always holds",
        1024,
        1024 * MIB,
    ),
    Setting("limits.max_gzip_ratio", 200, "largest ratio of a gzip body above its first megabyte", 2, 2000),
    Setting("limits.emergency_minutes", 240, "how long an emergency access to a chart holds", 1, 24 * 60),
    Setting("limits.emergency_review_hours", 72, "when the review of an emergency access is due", 1, 720),
    Setting("cache.tokens", 4096, "verified tokens kept a worker", 16, 1_000_000),
    Setting("cache.chart_bytes", 192 * MIB, "opened chart indexes kept a worker", MIB, 65_536 * MIB),
    Setting("cache.body_bytes", 32 * MIB, "opened bodies kept a worker", 0, 65_536 * MIB),
    Setting(
        "consent.grant_delay_seconds",
        5,
        "a grant waits a random time up to this, so that clocks tell less",
        0,
        60,
    ),
    Setting(
        "witness.urls",
        "",
        'witnesses that are asked to sign checkpoints: a list of "URL KEY" (in the environment, with commas)',
    ),
    Setting("witness.k", 1, "how many of them make a checkpoint witnessed", 1, 16),
    Setting("witness.seconds", 2, "how often the newest checkpoint is offered to them", 1, 3600),
    Setting("network.p2p", "127.0.0.1:26656", "where the engine of a network's node listens to its peers"),
    Setting("network.rpc", "127.0.0.1:26657", "the engine's RPC: on loopback, it asks nobody who they are"),
    Setting("network.peers", "", 'engines that may connect, and are dialled: a list of "NODE-ID@HOST:PORT"'),
    Setting(
        "network.relayed",
        False,
        "dial peers through relays of this node, which can be cut: for networks on one machine",
    ),
    Setting(
        "network.idle_ms", 1000, "how long the proposer of an empty block waits before it proposes", 0, 1500
    ),
    Setting(
        "network.snapshot_blocks",
        1000,
        "every so many blocks a snapshot is taken for nodes that join; a young ledger takes some more; 0: none",
        0,
        1_000_000,
    ),
    Setting(
        "network.retain_blocks",
        0,
        "how many blocks the engine keeps, and never fewer than since the older of two snapshots; 0: all",
        0,
        1_000_000_000,
    ),
    Setting(
        "explorer.open", False, "anybody may see the ledger's blocks and transactions, without signing in"
    ),
    Setting("smart.registration", False, "programs may register themselves (RFC 7591), for people only"),
    Setting("smart.jwks_hosts", "", "hosts from which clients' key sets (jwks_uri) are fetched: a list"),
    Setting("smart.dpop_nonces", False, "DPoP proofs must carry a nonce of this node (RFC 9449, 8)"),
    Setting(
        "smart.provider_issuer",
        "",
        "the organisation's own OpenID provider, at which people may sign in too; empty: passkeys alone",
    ),
    Setting("smart.provider_client_id", "", "this node's client id there"),
    Setting("smart.provider_secret_file", "", "file that holds this node's client secret there"),
    Setting("smart.provider_acr", "", "the acr, or one of amr or acrs, that each sign-in there must show"),
    Setting(
        "metrics.listen",
        "",
        "where figures are read (HTTP, /metrics): on loopback, it asks nobody; empty: nowhere",
    ),
    Setting("metrics.engine_listen", "", "the same for the engine's own figures"),
    Setting(
        "retention.medical_records_years", 0, "years to keep records after the last entry; 0: no duty", 0, 200
    ),
    Setting("retention.imaging_years", 0, "the same for images and their studies", 0, 200),
    Setting("retention.billing_years", 0, "the same for accounts, claims and coverage", 0, 200),
    Setting("keys.passphrase_file", "", "file that holds the passphrase of the key store"),
    Setting("log.level", "info", "least level that is logged", choices=("debug", "info", "warning", "error")),
    Setting("log.requests", "errors", "which requests are logged", choices=("none", "errors", "all")),
)
"""The whole configuration. `docs` and `config show` are made from it."""

ALIASES: Mapping[str, str] = MappingProxyType({"CARELEDGER_PASSPHRASE_FILE": "keys.passphrase_file"})
"""Short environment names."""

LISTS = frozenset(("witness.urls", "network.peers", "smart.jwks_hosts"))
"""Settings that are a list of texts; kept as one text with a line each."""
