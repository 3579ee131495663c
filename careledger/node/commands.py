"""What can be asked of a node: a literal table from method to function, the same for a served and a stopped home."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from careledger.access.actor import DEFAULT_PURPOSE
from careledger.access.tokens import TokenIssuer
from careledger.fhir.http import FhirApp
from careledger.fhir.json import instant
from careledger.node import (
    accounts,
    adopting,
    backup,
    clients,
    consents,
    copying,
    doctor,
    enrolling,
    erasing,
    explaining,
    exports,
    fsck,
    governing,
    importing,
    issuing_keys,
    links,
    membership,
    practitioners,
    profile,
    proofs,
    voting,
)
from careledger.node.authorisation import REVOKED_KEPT_MS
from careledger.node.backend import NodeBackend
from careledger.node.config import Config
from careledger.node.group import Revoked, encode_event
from careledger.node.home import OpenHome
from careledger.node.networked import NetworkSequencer
from careledger.node.networking import Networking
from careledger.node.sequencer import Sequencer, system_clock_ms
from careledger.node.spools import Spools
from careledger.node.witnesses import Witnesses
from careledger.primitives.errors import Invalid, Misconfigured, NotFound
from careledger.vault.envelope import open_access
from careledger.vault.model import HOUSE_CHART, Commit
from careledger.vault.records import unpack_access
from careledger.vault.registry import StoredRegistry
from careledger.vault.snapshot import VaultReader
from careledger.vault.tables import ACCESS_LOG

Progress = Callable[[dict[str, Any]], None]
TOKEN_ID_MAX = 128


@dataclass(frozen=True, slots=True)
class CommandContext:
    """The open node."""

    path: Path
    config: Config
    home: OpenHome
    sequencer: Sequencer
    reader: VaultReader
    backend: NodeBackend
    fhir: FhirApp
    issuer: TokenIssuer
    served: bool
    witnesses: Witnesses
    registry: StoredRegistry
    networking: Networking | None = None
    spools: Spools = field(default_factory=Spools)


async def status(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Height, size and health."""
    with node.backend.snapshot() as snapshot:
        charts = len(snapshot.chart_numbers())
        height = snapshot.ledger_height
        resources = snapshot.resource_count()
    return {
        "served": node.served,
        "address": node.config.server.public_url if node.served else "",
        "height": height,
        "charts": charts,
        "resources": resources,
        "journal_bytes": node.home.journal.position.end,
        "sync_ms": round(1000 * node.sequencer.sync_times.seconds, 3),
        "witnesses": node.witnesses.standing(),
        "problems": [
            *node.backend.problems(),
            *node.witnesses.problems(),
            *membership.list_problems(node),
        ],
    }


async def issue_token(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """A bearer token of this node."""
    token_id = secrets.token_hex(16)
    lifetime = int(params["expires_s"])
    token = node.issuer.issue(
        client=params["client"],
        scope=params["scope"],
        patient=params.get("patient") or "",
        practitioner=params.get("practitioner") or "",
        purpose=params.get("purpose") or DEFAULT_PURPOSE,
        roles=params.get("roles") or (),
        organisation=params.get("org") or node.home.did,
        lifetime_seconds=lifetime,
        token_id=token_id,
    )
    expires = datetime.now(UTC) + timedelta(seconds=lifetime)
    return {"token": token, "id": token_id, "expires": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}


async def revoke_token(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Durable and seen by every worker when it returns."""
    token_id = token_id_of(params["token"])
    now_ms = system_clock_ms()
    event = encode_event(Revoked(token_id.encode(), now_ms + REVOKED_KEPT_MS, now_ms))
    await node.backend.commit(Commit(events=(event,)))
    return {"id": token_id}


def token_id_of(text: str) -> str:
    """The id of a token, given the token or the id. Raises Invalid."""
    try:
        if "." in text:
            payload = text.split(".")[1]
            text = str(
                msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["jti"]
            )
    except (ValueError, KeyError, TypeError, msgspec.DecodeError):
        text = ""
    if not 1 <= len(text) <= TOKEN_ID_MAX or not text.isascii():
        raise Invalid("this is no token of this node, nor the id of one", hint="give the token, or its id")
    return text


async def receipt(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The receipt of one version; `witnessed`: under a checkpoint that witnesses signed."""
    async with node.sequencer.shown():
        file = proofs.make_receipt(node.home, node.reader, params["reference"])
    if params.get("witnessed"):
        note = await node.witnesses.ask_all(handed=True)
        file = proofs.with_note(node.home, file, node.witnesses.check_enough(note))
    return {"file": file.decode()}


async def checkpoint(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The newest signed checkpoint, with what the witnesses sign of it now."""
    if not node.witnesses.peers:
        async with node.sequencer.shown():
            return {"file": proofs.make_checkpoint(node.home).decode(), "missing": []}
    note = await node.witnesses.ask_all(handed=True)
    signed = {line.name for line in note.signatures}
    keys = [peer.key for peer in node.witnesses.peers]
    return {
        "file": proofs.make_checkpoint(node.home, note.note(), (node.witnesses.k, keys)).decode(),
        "missing": [key.name for key in keys if key.name not in signed],
    }


async def access_log(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Who looked into a chart, oldest first; `house` names the organisation's own log."""
    async with node.sequencer.quiet():
        with node.reader.snapshot() as snapshot:
            patient = params["patient"]
            chart = HOUSE_CHART if patient == "house" else snapshot.chart_ever_of(patient)
            if chart is None:
                raise NotFound("there is no chart of this patient", hint="PATIENT is an id or Patient/ID")
            keys = node.home.keyring.get(chart)
            entries = []
            for index in range(node.home.access.frontier(chart).size):
                record = unpack_access(snapshot.record(chart, ACCESS_LOG, index))
                entry = open_access(keys, chart, index, record.leaf, record.sealed)
                entries.append(
                    {
                        "index": index,
                        "time": instant(entry.time_ms),
                        "actor": entry.actor,
                        "client": entry.client,
                        "organisation": entry.organisation,
                        "purpose": entry.purpose,
                        "kind": entry.kind,
                        "what": entry.what,
                        "permitted": entry.permitted,
                        "rule": entry.rule,
                        "directives": list(entry.directives),
                        "roles": list(entry.roles),
                        "subject": entry.subject,
                        "height": entry.height,
                        "versions": list(entry.leaves),
                        "request": entry.request_id.hex(),
                    }
                )
    return {"entries": entries}


async def import_files(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Load files through the FHIR interactions, with every check that HTTP has."""
    return await importing.run(node.fhir, node.home.did, [Path(path) for path in params["paths"]], progress)


async def check(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Everything against everything; see `fsck`. `trust` is the text of a checkpoint file kept elsewhere."""
    trusted = str(params.get("trust") or "").encode()
    async with node.sequencer.steady:
        async with node.sequencer.quiet():
            view = fsck.take_view(node.home)
        return await asyncio.get_running_loop().run_in_executor(
            None, fsck.run, node.home, view, progress, trusted, node.registry
        )


async def write_backup(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """One sealed file with the whole home."""
    path = Path(params["path"])
    if not path.is_absolute():
        raise Invalid("the path of a backup must be absolute")
    async with node.sequencer.steady:
        async with node.sequencer.quiet():
            plan = backup.plan(node.home, node.registry)
        return await asyncio.get_running_loop().run_in_executor(None, backup.write, plan, path, progress)


async def examine(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """What is wrong with this machine, home or node."""
    sync_ms = 1000 * node.sequencer.sync_times.seconds
    return doctor.run(node.home, node.config, sync_ms, node.witnesses.standing())


async def show_config(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Who this node is and what it is set to."""
    return {
        "did": node.home.did,
        "name": node.home.file.name,
        "home": str(node.path),
        "chain_id": node.home.file.chain_id,
        "settings": {
            name: {"value": value, "origin": origin} for name, value, origin in node.config.show_origin()
        },
    }


async def upgrade(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """This program, Python and its packages execute the ledger from the next block on."""
    before = profile.describe(profile.pinned_profile(node.home))
    transaction = profile.adoption(node.home)
    if transaction is not None:
        await node.backend.commit(Commit(transactions=(transaction,)))
        profile.check_profile(node.home)
    after = profile.describe(profile.pinned_profile(node.home))
    return {"before": before, "after": after, "changed": transaction is not None}


async def network_status(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """How far this node of a network is, and whom its engine sees."""
    home = node.home
    shown: dict[str, Any] = {"height": home.height, "app_hash": home.the_ledger.app_hash.hex(), "peers": 0}
    shown |= membership.show_standing(node)
    shown["upgrades"] = profile.show_upgrades(home)
    if isinstance(node.sequencer, NetworkSequencer):
        times = node.sequencer.anchor_times
        shown |= {
            "anchored": times.anchored,
            "anchor_p50_ms": round(times.quantile_ms(0.5)),
            "anchor_p95_ms": round(times.quantile_ms(0.95)),
            "block_age_ms": round(1000 * (time.monotonic() - node.sequencer.block_at)),
        }
    if node.networking is None or node.networking.engine is None:
        return shown | {"engine": "not running"}
    health = await node.networking.engine.get_health()
    if health.is_answering:
        shown["peers"] = (await node.networking.rpc.net_info()).n_peers
    return shown | {
        "engine": "running" if health.is_answering else "not answering",
        "engine_height": health.height,
        "catching_up": health.is_catching_up,
        "engine_restarts": health.restarts,
        "node_id": node.networking.node_id,
        "pool": len(node.networking.pool.pool),
    }


async def network_cut(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Let nothing through to these peers, and everything to the others."""
    if node.networking is None:
        raise Misconfigured("this node is of no network", hint="careledger network up")
    peers = frozenset(map(str, params["peers"]))
    await node.networking.cut(peers)
    return {"cut": sorted(peers)}


Function = Callable[[CommandContext, dict[str, Any], Progress], Awaitable[dict[str, Any]]]

COMMANDS: Mapping[str, Function] = MappingProxyType(
    {
        "status": status,
        "network.status": network_status,
        "network.cut": network_cut,
        "token.issue": issue_token,
        "token.revoke": revoke_token,
        "account.invite": accounts.invite_somebody,
        "account.list": accounts.show,
        "account.disable": accounts.disable,
        "account.enable": accounts.enable,
        "account.link": links.link_account,
        "account.unlink": links.unlink_account,
        "account.personas": accounts.make_personas,
        "client.add": clients.add,
        "client.list": clients.show,
        "client.disable": clients.disable,
        "issuer.keys": issuing_keys.show,
        "issuer.rotate": issuing_keys.rotate,
        "issuer.withdraw": issuing_keys.withdraw,
        "receipt": receipt,
        "checkpoint": checkpoint,
        "access_log": access_log,
        "access_log.export": exports.export_access_log,
        "chart.export": exports.export_chart,
        "chart.copy": copying.write_file,
        "copy.key": copying.give_key,
        "copy.keep": copying.keep,
        "copy.look": copying.look,
        "patient.enrol": enrolling.enrol,
        "consent.prepare": consents.prepare,
        "consent.prepare_revocation": consents.prepare_revocation,
        "consent.grant": consents.grant,
        "consent.revoke": consents.revoke,
        "consent.list": consents.show,
        "consent.explain": explaining.explain,
        "erase": erasing.erase,
        "shred": erasing.shred,
        "import": import_files,
        "fsck": check,
        "backup": write_backup,
        "doctor": examine,
        "config": show_config,
        "upgrade": upgrade,
        "org.request": governing.request_admission,
        "org.admit": governing.admit,
        "org.deactivate": governing.deactivate,
        "org.list": governing.list_organisations,
        "practitioner.prepare": practitioners.prepare,
        "practitioner.register": practitioners.register,
        "practitioner.look": practitioners.look,
        "practitioner.rotate": practitioners.rotate,
        "practitioner.sign": practitioners.sign,
        "practitioner.suspend": practitioners.suspend,
        "practitioner.reinstate": practitioners.reinstate,
        "practitioner.license": practitioners.license_,
        "practitioner.list": practitioners.list_practitioners,
        "parameters.show": governing.show_parameters,
        "parameters.set": governing.set_parameter,
        "governance.propose": voting.propose,
        "governance.vote": voting.vote,
        "governance.list": voting.list_proposals,
        "ledger.adopt": adopting.adopt,
        "network.describe": membership.describe_network,
        "network.admit_peer": membership.admit_peer,
    }
)

__all__ = ["COMMANDS", "CommandContext", "Progress", "system_clock_ms"]
