"""What must hold at the end of every run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from careledger.contracts import CONTRACTS
from careledger.contracts.records import ANCHOR, FIRST_PREVIOUS, Anchor
from careledger.contracts.validators import VALIDATORS
from careledger.ledger.blocks import NETWORK_BLOCK, NetworkBlock
from careledger.ledger.consensus.replica import Decided, Replica
from careledger.ledger.execution import Overlay, Rules
from careledger.ledger.store.lmdb import LmdbKV
from careledger.ledger.store.memory import MemoryKV
from careledger.ledger.transaction import compute_id, decode_transaction
from careledger.node import founding
from tests.simulation.clients import Client
from tests.simulation.history import ABSENT, check_history, step_directive, step_resource
from tests.simulation.nodes import Node, founded
from tests.simulation.world import Violation

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

HONEST_WAIT_S: Final = 12.0
"""Of an honest sender's transaction while another one floods every pool."""


def is_settled(simulation: Simulation) -> bool:
    """Everybody has the same newest block, nothing waits for an anchor, and no client's transaction for a block."""
    nodes = simulation.nodes
    return (
        all(node.is_up and node.is_ready for node in nodes)
        and len({node.height for node in nodes}) == 1
        and all(
            node.home.outbox.flight is None
            and not node.home.outbox.records
            and not node.home.access.changed
            and not has_local(node)
            for node in nodes
        )
    )


def has_local(node: Node) -> bool:
    """Whether anything of its own clients still waits in its pool: it is to be final, refused or overtaken."""
    return any(item.is_local for item in node.pool.pool._by_digest.values())


def describe(simulation: Simulation) -> str:
    """Where everybody is."""
    return "; ".join(
        f"{node}: height {node.height}, ready {node.is_ready}, "
        + (
            f"waiting {len(node.home.outbox.records)}, flight {node.home.outbox.flight is not None}, "
            if node.is_up
            else "down "
        )
        + (
            f"unanchored accesses {len(node.home.access.changed)}, pool {len(node.pool.pool)}, local {has_local(node)}"
            if node.is_up
            else ""
        )
        for node in simulation.nodes
    )


def check_all(simulation: Simulation) -> None:
    """Raises Violation."""
    check_chain(simulation)
    for node in simulation.nodes:
        check_node(simulation, node)
    check_anchors(simulation)
    check_final(simulation)
    check_convicted(simulation)
    for node in simulation.nodes:
        Client(simulation, 0).look_at_all(node)
    for operations in simulation.told.directives.values():
        check_history(operations, ABSENT, step_directive)
    for operations in simulation.told.resources.values():
        check_history(operations, 0, step_resource)
    if simulation.scenario.has_flood:
        check_starved(simulation)


def check_starved(simulation: Simulation) -> None:
    """The flood delays the others little, and keeps none of them out."""
    told = simulation.told
    if told.slowest_s > HONEST_WAIT_S:
        raise Violation(f"under the flood an honest sender waited {told.slowest_s:.1f} s")
    if told.turned_away:
        raise Violation(f"under the flood an honest sender was turned away {told.turned_away} times")


def check_chain(simulation: Simulation) -> None:
    """Somebody who executes all blocks anew comes to the same; no transaction twice, every lane without a gap."""
    kv = MemoryKV()
    replica = Replica.create(kv, founded(simulation.count).genesis, Rules(CONTRACTS))
    ids: set[bytes] = set()
    lanes: dict[tuple[bytes, int], int] = {}
    blocks = read_blocks(simulation.nodes[0])
    for block in blocks[1:]:
        done = replica.finalise(kv, Decided(block.height, block.time_ms, block.transactions, block.evidence))
        if (done.app_hash, any(block.codes)) != (simulation.app_hashes[block.height], False):
            raise Violation(f"block {block.height} comes out otherwise for somebody who executes all anew")
        for data in block.transactions:
            envelope, body = decode_transaction(data)
            place = (bytes(body.sponsor), body.lane)
            if compute_id(envelope.body) in ids or body.sequence != lanes.get(place, 0):
                raise Violation(f"block {block.height} repeats a transaction or leaves a gap")
            ids.add(compute_id(envelope.body))
            lanes[place] = body.sequence + 1
    for before, after in zip(blocks, blocks[1:], strict=False):
        if after.time_ms < before.time_ms or after.time_ms > simulation.world.now_ms():
            raise Violation(f"block {after.height} is dated {after.time_ms - simulation.genesis_ms} ms")


def read_blocks(node: Node) -> list[NetworkBlock]:
    """As the node keeps them."""
    with node.home.tables.env.begin() as txn:
        kv = LmdbKV(txn, node.home.tables.ledger)
        return [NETWORK_BLOCK.decode(node.chain().block_bytes(kv, at)) for at in range(node.height + 1)]


def check_node(simulation: Simulation, node: Node) -> None:
    """Its blocks are the network's, and everything that was acknowledged is there."""
    if [block.transactions for block in read_blocks(node)][1:] != [
        simulation.history[height].transactions for height in range(1, node.height + 1)
    ]:
        raise Violation(f"{node} keeps other blocks than were decided")
    promised = simulation.told.entries.get(node.number, 0)
    with node.backend.snapshot() as snapshot:
        if snapshot.access_count(0) < promised:
            raise Violation(f"{node} lost access entries")


def check_anchors(simulation: Simulation) -> None:
    """The batches of each organisation follow each other, and the last is what its home holds."""
    batches: dict[bytes, tuple[int, bytes]] = {}
    for block in read_blocks(simulation.nodes[0])[1:]:
        for data in block.transactions:
            for message in decode_transaction(data)[1].messages:
                if int.from_bytes(message[:2], "big") == ANCHOR.number:
                    anchor: Anchor = ANCHOR.schema.decode(message[2:])
                    seq, root = batches.get(anchor.organisation, (-1, FIRST_PREVIOUS))
                    if (anchor.seq, anchor.previous) != (seq + 1, root):
                        raise Violation(f"block {block.height}: an anchor does not continue the last one")
                    batches[anchor.organisation] = anchor.seq, anchor.root
    for node in simulation.nodes:
        if batches.get(node.home.organisation, (0, b""))[1] != node.home.heads.root:
            raise Violation(f"{node} holds other heads than were anchored")
        check_heads(node)


def check_heads(node: Node) -> None:
    """Every chart's log stands in the heads map as it is."""
    home = node.home
    with node.backend.snapshot() as snapshot:
        charts = snapshot.chart_numbers()
    kv = LmdbKV(home.writer.begin(), home.tables.heads)
    for chart in charts:
        state = home.writer.state(chart)
        head = founding.head_value(state.frontier.size, state.frontier.root())
        if home.heads.get(kv, founding.head_key(0, state.handle)) != head:
            raise Violation(f"{node}: a chart's head is not anchored")
    home.writer.abort()


def check_final(simulation: Simulation) -> None:
    """What was said to be final is in the block that was named; what was said to be refused is in none."""
    heights = {
        compute_id(decode_transaction(data)[0].body): block.height
        for block in simulation.history.values()
        for data in block.transactions
    }
    for id, height in simulation.told.finals.items():
        if heights.get(id) != height:
            raise Violation(f"said to be final at {height}, but stands at {heights.get(id)}")
    for id, message in simulation.told.refused.items():
        if id in heights:
            raise Violation(f"said to be refused ({message}), but executed at {heights[id]}")


def check_convicted(simulation: Simulation) -> None:
    """Who was proved to have signed twice has no weight any more, and nobody else was convicted."""
    proved = {place[0] for node in simulation.honest for place in node.engine_disk.proofs}
    if proved - {simulation.liar}:
        raise Violation(f"honest nodes signed twice: {proved}")
    for node in simulation.nodes:
        with node.home.tables.env.begin() as txn:
            state = Overlay(node.chain().reader(LmdbKV(txn, node.home.tables.ledger)))
            weights = {
                number: found.weight
                for number in range(simulation.count)
                if (found := VALIDATORS.get(state, simulation.address_of(number)))
            }
        if weights != {**dict.fromkeys(weights, 0), **node.engine_disk.powers[node.height + 2]}:
            raise Violation(f"the engine of {node} counts other weights than the state holds")
        for number, weight in weights.items():
            if (weight == 0) != (number in proved):
                raise Violation(
                    f"{node} gives node {number} weight {weight}, proved guilty: {sorted(proved)}"
                )
