"""The configuration: defaults < HOME/config.toml < `CARELEDGER_SECTION__KEY` < flags, typed, with its origin.

Every setting stands in `settings.SETTINGS`, once. An unknown name is an error that says what was probably meant. No
secret is a setting: a passphrase is a file that is named here.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from careledger.node.settings import ALIASES, LISTS, SETTINGS
from careledger.node.settings import Value as Value
from careledger.primitives.errors import Misconfigured

FILE_NAME = "config.toml"
PREFIX = "CARELEDGER_"

_BY_NAME = {setting.name: setting for setting in SETTINGS}
_SECTIONS = sorted({setting.name.partition(".")[0] for setting in SETTINGS})


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """[server]: how the node is reached. Times in seconds."""

    listen: str
    workers: int
    base_url: str
    tls_cert: str
    tls_key: str
    behind_proxy: bool
    gzip_responses: bool
    backlog: int
    max_connections: int
    keep_alive_seconds: int
    header_seconds: int
    body_seconds: int
    request_seconds: int
    write_seconds: int
    drain_seconds: int

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        return split_listen(self.listen)

    @property
    def public_url(self) -> str:
        """`base_url`, or what `listen` gives; without a slash at the end."""
        if self.base_url:
            return self.base_url.rstrip("/")
        host, port = self.address
        return url_of(host, port, tls=bool(self.tls_cert))


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """[limits]: what a request may weigh. Sizes in bytes."""

    max_body_bytes: int
    max_header_bytes: int
    max_headers: int
    max_url_bytes: int
    max_bundle_entries: int
    max_page_entries: int
    max_page_bytes: int
    max_gzip_ratio: int
    emergency_minutes: int
    emergency_review_hours: int


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """[cache]: what each worker keeps in memory."""

    tokens: int
    chart_bytes: int
    body_bytes: int


@dataclass(frozen=True, slots=True)
class WitnessConfig:
    """[witness]: who signs this ledger's checkpoints. `urls`: a line each, URL and key."""

    urls: str
    k: int
    seconds: int


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """[network]: the engine of a network's node. `peers`: a line each. Times in ms."""

    p2p: str
    rpc: str
    peers: str
    relayed: bool
    idle_ms: int
    snapshot_blocks: int
    retain_blocks: int


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """[metrics]: where figures of the node and of its engine can be read."""

    listen: str
    engine_listen: str


@dataclass(frozen=True, slots=True)
class ExplorerConfig:
    """[explorer]: who may see the ledger's blocks and transactions."""

    open: bool


@dataclass(frozen=True, slots=True)
class KeysConfig:
    """[keys]: where the passphrase comes from."""

    passphrase_file: str


@dataclass(frozen=True, slots=True)
class ConsentConfig:
    """[consent]: how directives travel to the ledger. Times in seconds."""

    grant_delay_seconds: int


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """[retention]: for how many years records may not be erased after a chart's last entry; `node.retention`."""

    medical_records_years: int
    imaging_years: int
    billing_years: int


@dataclass(frozen=True, slots=True)
class SmartConfig:
    """[smart]: the authorisation server."""

    registration: bool
    jwks_hosts: str
    dpop_nonces: bool
    provider_issuer: str
    provider_client_id: str
    provider_secret_file: str
    provider_acr: str


@dataclass(frozen=True, slots=True)
class LogConfig:
    """[log]: what is logged."""

    level: str
    requests: str


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration that is in force, and for each setting where its value came from."""

    server: ServerConfig
    limits: LimitsConfig
    cache: CacheConfig
    consent: ConsentConfig
    explorer: ExplorerConfig
    keys: KeysConfig
    retention: RetentionConfig
    log: LogConfig
    metrics: MetricsConfig
    network: NetworkConfig
    smart: SmartConfig
    witness: WitnessConfig
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)

    def value(self, name: str) -> Value:
        """The value of `section.key`."""
        section, _, key = name.partition(".")
        value: Value = getattr(getattr(self, section), key)
        return value

    def listening_at(self, port: int) -> Config:
        """The configuration once the port is known: links must not name port 0."""
        host, asked = self.server.address
        if asked:
            return self
        return replace(self, server=replace(self.server, listen=f"{host}:{port}"))

    def show_origin(self) -> list[tuple[str, Value, str]]:
        """(name, value, where it came from) of every setting, in the order of `SETTINGS`."""
        return [(setting.name, self.value(setting.name), self.origins[setting.name]) for setting in SETTINGS]


def load(
    home: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Value | None] | None = None,
) -> Config:
    """The configuration of a home. `flags` are `section.key` -> value; None means "not given".

    Raises Misconfigured for an unreadable file, an unknown name or a value out of bounds.
    """
    values: dict[str, Value] = {setting.name: setting.default for setting in SETTINGS}
    origins = dict.fromkeys(values, "default")
    path = home / FILE_NAME if home is not None else None
    given_flags = {name: value for name, value in (flags or {}).items() if value is not None}
    layers = (
        (_from_file(path), str(path)),
        (_from_environment(os.environ if environment is None else environment), ""),
        ({name: (value, _flag(name)) for name, value in given_flags.items()}, ""),
    )
    for layer, common_origin in layers:
        for name, (raw, own_origin) in layer.items():
            origin = own_origin or common_origin
            values[name] = _typed(name, raw, origin)
            origins[name] = origin
    config = _build(values, origins)
    _check_together(config)
    return config


def split_listen(listen: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, `[IPV6]:PORT` or `:PORT` (loopback). Raises Misconfigured."""
    host, separator, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not separator or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise Misconfigured(
            "the listen address cannot be read", hint="write HOST:PORT, for example 127.0.0.1:8080"
        )
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Only this machine can reach the host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def url_of(host: str, port: int, *, tls: bool) -> str:
    """The address of a listener, as a person types it."""
    shown = f"[{host}]" if ":" in host else "localhost" if host == "127.0.0.1" else host
    return f"{'https' if tls else 'http'}://{shown}:{port}"


def environment_name(name: str) -> str:
    """`CARELEDGER_SECTION__KEY` of `section.key`."""
    return PREFIX + name.replace(".", "__").upper()


def _flag(name: str) -> str:
    return "flag --" + name.partition(".")[2].replace("_", "-")


def _from_file(path: Path | None) -> dict[str, tuple[Any, str]]:
    if path is None:
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"{path} cannot be read", hint="check its permissions; it is UTF-8 text"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{path} is not TOML: {error}", hint="correct the line that is named") from error
    found: dict[str, tuple[Any, str]] = {}
    for section, table in tables.items():
        if section not in _SECTIONS or not isinstance(table, dict):
            raise _unknown(section, _SECTIONS, f"{path}: section")
        for key, value in table.items():
            found[_known(f"{section}.{key}", str(path))] = (value, "")
    return found


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    found: dict[str, tuple[Any, str]] = {}
    for variable, value in environment.items():
        if variable in ALIASES:
            found.setdefault(ALIASES[variable], (value, f"environment {variable}"))
        elif variable.startswith(PREFIX) and "__" in variable:
            name = variable.removeprefix(PREFIX).lower().replace("__", ".", 1)
            found[_known(name, f"environment {variable}")] = (value, f"environment {variable}")
    return found


def _known(name: str, origin: str) -> str:
    if name not in _BY_NAME:
        raise _unknown(name, list(_BY_NAME), f"{origin}: setting")
    return name


def _unknown(name: str, names: list[str], where: str) -> Misconfigured:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else "see `careledger config show --origin`"
    return Misconfigured(f"{where} {name[:64]!r} is unknown", code="setting-unknown", hint=hint)


def _typed(name: str, raw: Any, origin: str) -> Value:
    """The value in the setting's type and bounds. Text is read as the environment writes it."""
    setting = _BY_NAME.get(name) or _BY_NAME[_known(name, origin)]
    where = f"{name} ({origin})"
    if isinstance(setting.default, bool):
        if isinstance(raw, str):
            raw = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(
                raw.lower()
            )
        if not isinstance(raw, bool):
            raise Misconfigured(f"{where} must be true or false", code="setting-invalid")
        return raw
    if isinstance(setting.default, int):
        if isinstance(raw, str) and raw.isascii() and raw.isdigit() and len(raw) < 20:
            raw = int(raw)
        if not isinstance(raw, int) or isinstance(raw, bool) or not setting.low <= raw <= setting.high:
            raise Misconfigured(
                f"{where} must be a whole number from {setting.low} to {setting.high}", code="setting-invalid"
            )
        return raw
    if name in LISTS:
        given = raw.split(",") if isinstance(raw, str) else raw
        known = isinstance(given, list) and all(isinstance(one, str) for one in given)
        raw = "\n".join(given) if known else 0
    if not isinstance(raw, str) or (setting.choices and raw not in setting.choices):
        hint = f"one of {', '.join(setting.choices)}" if setting.choices else "give it as text"
        raise Misconfigured(f"{where} is not a value that it can have", code="setting-invalid", hint=hint)
    return raw


def _build(values: Mapping[str, Value], origins: Mapping[str, str]) -> Config:
    def section(name: str) -> dict[str, Any]:
        return {
            key.partition(".")[2]: value for key, value in values.items() if key.partition(".")[0] == name
        }

    return Config(
        server=ServerConfig(**section("server")),
        limits=LimitsConfig(**section("limits")),
        cache=CacheConfig(**section("cache")),
        consent=ConsentConfig(**section("consent")),
        explorer=ExplorerConfig(**section("explorer")),
        keys=KeysConfig(**section("keys")),
        retention=RetentionConfig(**section("retention")),
        log=LogConfig(**section("log")),
        metrics=MetricsConfig(**section("metrics")),
        network=NetworkConfig(**section("network")),
        smart=SmartConfig(**section("smart")),
        witness=WitnessConfig(**section("witness")),
        origins=MappingProxyType(dict(origins)),
    )


def _check_together(config: Config) -> None:
    """Rules over more than one setting. Raises Misconfigured."""
    server = config.server
    host, _ = split_listen(server.listen)
    if bool(server.tls_cert) != bool(server.tls_key):
        raise Misconfigured(
            "TLS needs a certificate and its key", hint="set server.tls_cert and server.tls_key"
        )
    if server.base_url and not server.base_url.startswith(("http://", "https://")):
        raise Misconfigured("server.base_url is not a URL", hint="for example https://fhir.example.org")
    if not is_loopback(host) and not server.tls_cert and not server.behind_proxy:
        raise Misconfigured(
            f"listening on {host} needs TLS: tokens and records would cross the network in the clear",
            code="tls-needed",
            hint="add --tls-cert FILE --tls-key FILE (server.tls_cert, server.tls_key), or --behind-proxy"
            " (server.behind_proxy) if a proxy does TLS, or listen on 127.0.0.1",
        )
    for name, listen in (
        ("metrics.listen", config.metrics.listen),
        ("metrics.engine_listen", config.metrics.engine_listen),
    ):
        if listen and not is_loopback(split_listen(listen)[0]):
            raise Misconfigured(
                f"{name} would be open to others: it asks nobody who they are",
                code="metrics-open",
                hint="listen on 127.0.0.1; let an agent on this machine pass the figures on",
            )
