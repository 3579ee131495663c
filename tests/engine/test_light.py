"""The light client follows the real engine, whose validator signs with ML-DSA-65 by our own signer."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from careledger.engine.genesis import Validator
from careledger.engine.validator_key import create_validator_key, open_validator_key
from careledger.ledger.light import LightBlock, trust_header, verify_block
from careledger.ledger.light_encoding import hash_header
from tests.engine.real import REAL_ENGINE, make_genesis, make_home, make_settings, running, signing
from tests.engine.test_process import reach
from tests.engine.test_signer import CHEAP, PASSPHRASE


@REAL_ENGINE
def test_the_light_client_follows_the_real_engine(tmp_path: Path) -> None:
    home = tmp_path / "engine"
    public = create_validator_key(tmp_path, PASSPHRASE, cost=CHEAP)
    genesis = make_genesis(validators=(Validator(public, 10, "berg"),), key_type="ml_dsa_65")
    settings = make_settings(signer="signer.sock")
    make_home(home, settings, validates=False, genesis=genesis)

    async def run() -> list[LightBlock]:
        key = open_validator_key(tmp_path, PASSPHRASE)
        async with (
            signing(home / "signer.sock", key, tmp_path / "guard", print),
            running(home, settings) as process,
        ):
            await reach(process, 5)
            return [await process.rpc.light_block(height) for height in (1, 2, 4)]

    first, second, fourth = asyncio.run(asyncio.wait_for(run(), 60))
    point, now_ns = trust_header(first.header, first.validators), time.time_ns()
    for block in (first, second, fourth):
        assert hash_header(block.header) == block.commit.block_id.hash
        assert [one.algorithm for one in block.validators.validators] == ["ml-dsa-65"]
        # The genesis is of long ago, and so is the first header: a step from it would find the trust expired.
        step = None if point.height == 1 else now_ns
        point = verify_block(point, block, now_ns=step)
    assert point.height == 4 and second.header.last_block_id == first.commit.block_id
