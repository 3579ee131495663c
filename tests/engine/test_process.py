"""An engine is started in order, started again when it ends, and gone when its node is."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from careledger.engine import process as process_module
from careledger.engine.logs import parse_line
from careledger.engine.process import EngineProcess, compute_back_off
from careledger.primitives.errors import Misconfigured, Unavailable
from tests.engine.real import REAL_ENGINE, Logged, make_home, make_settings, running

ROOT = Path(__file__).resolve().parents[2]


async def reach(process, height, seconds=20.0):
    """Wait for a block of at least this height; its height."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        health = await process.get_health()
        if health.height >= height:
            return health.height
        await asyncio.sleep(0.05)
    raise AssertionError(f"no block {height} in {seconds} s: {health}")


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def run(test):
    asyncio.run(asyncio.wait_for(test(), 60))


@REAL_ENGINE
def test_an_engine_makes_blocks_stops_in_order_and_goes_on_where_it_was(tmp_path):
    async def test():
        settings = make_settings()
        home = make_home(tmp_path / "engine", settings)
        async with running(home, settings) as process:
            height = await reach(process, 3)
            health = await process.get_health()
            assert (health.is_running, health.is_answering, health.restarts) == (True, True, 0)
            assert abs(health.time_ms - time.time() * 1000) < 60_000
            pid = process.pid
        assert process.pid is None and not is_running(pid)
        assert not (await process.get_health()).is_running
        async with running(home, settings) as process:
            await reach(process, height + 2)

    run(test)


@REAL_ENGINE
def test_a_crashed_engine_starts_again_at_a_fail_point_too(tmp_path):
    async def test():
        settings = make_settings()
        log = Logged()
        home = make_home(tmp_path / "engine", settings)
        async with running(home, settings, log=log, fail_index=4) as process:
            height = await reach(process, 2)
            assert process.restarts == 1 and "engine: said outside its log" in log.events()
            process.kill()
            await reach(process, height + 2)
            assert process.restarts == 2 and log.events().count("engine ended, starting it again") == 2
            process.restart()
            await asyncio.sleep(0.5)
            await reach(process, height + 4)
            assert process.restarts == 3

    run(test)


@REAL_ENGINE
def test_a_frozen_engine_is_seen_goes_on_and_can_be_stopped(tmp_path):
    async def test():
        settings = make_settings()
        async with running(make_home(tmp_path / "engine", settings), settings) as process:
            process.pause()
            health = await process.get_health()
            assert health.is_running and not health.is_answering
            process.resume()
            height = await reach(process, 1)
            await reach(process, height + 2)
            process.pause()
            before, pid = time.monotonic(), process.pid
        assert time.monotonic() - before < process_module.STOP_SECONDS_MAX and not is_running(pid)

    run(test)


# --- with a program that plays an engine ---------------------------------------------------------------------------
def make_program(folder, body) -> Path:
    program = folder / "engine-played"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return program


async def started(folder, body, log=None, **others):
    """A played engine whose home is `folder`."""
    settings = make_settings()
    (folder / "home").mkdir(exist_ok=True)
    process = EngineProcess(make_program(folder, body), folder / "home", settings, log or Logged(), **others)
    await process.start()
    return process


async def until(is_so):
    """Wait until it is so; the test's own limit ends it."""
    while not is_so():  # noqa: ASYNC110 (files and processes tell nobody)
        await asyncio.sleep(0.01)


async def read_when_there(path):
    await until(lambda: path.exists() and path.read_text().endswith("\n"))
    return path.read_text()


def test_an_engine_that_will_not_stop_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(process_module, "STOP_SECONDS_MAX", 0.3)

    async def test():
        log = Logged()
        process = await started(tmp_path, "trap '' TERM; echo $$ > pid; exec sleep 60", log)
        pid = int(await read_when_there(tmp_path / "home" / "pid"))
        assert pid == process.pid
        await process.stop()
        assert not is_running(pid) and "engine did not stop, killing it" in log.events()

    run(test)


def test_an_engine_that_cannot_be_started_now_is_started_later(tmp_path, monkeypatch):
    monkeypatch.setattr(process_module, "BACK_OFF_MIN_SECONDS", 0.01)
    spawn, failures = asyncio.create_subprocess_exec, [BlockingIOError(11, "no more processes")] * 2
    began = tmp_path / "home" / "began"

    async def sometimes(*words, **others):
        if began.exists() and failures:
            raise failures.pop()
        return await spawn(*words, **others)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", sometimes)

    async def test():
        log = Logged()
        process = await started(tmp_path, "test -e began && exec sleep 600; echo > began", log)
        await until(lambda: process._supervision.done() or (process.restarts == 3 and process.pid))
        assert not failures and log.events().count("engine cannot be started, trying again") == 2
        await process.stop()

    run(test)


def test_an_engine_does_not_outlive_its_node(tmp_path):
    """Whose process is killed, so that nothing of it could end the engine."""
    program = make_program(tmp_path, "echo $$ > pid.new; mv pid.new pid; exec sleep 600")
    (tmp_path / "home").mkdir()
    script = f"""
import asyncio, pathlib, sys
from careledger.engine.process import EngineProcess
from tests.engine.real import make_settings
async def main():
    process = EngineProcess(pathlib.Path({str(program)!r}), pathlib.Path({str(tmp_path / "home")!r}), make_settings(), lambda *_: None)
    await process.start()
    await asyncio.sleep(600)
asyncio.run(main())
"""
    node = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    try:
        end = time.monotonic() + 30
        while not (tmp_path / "home" / "pid").exists() and time.monotonic() < end:
            time.sleep(0.02)
        pid = int((tmp_path / "home" / "pid").read_text())
        assert is_running(pid)
    finally:
        node.send_signal(signal.SIGKILL)
        node.wait()
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_running(pid)


def test_an_engine_gets_no_setting_of_its_node_s_environment(tmp_path, monkeypatch):
    """It would take any setting from a variable `CMT_…`, and its home from CMTHOME."""
    for name in ("CMT_RPC_LADDR", "CMTHOME", "TMHOME", "FAIL_TEST_INDEX", "GODEBUG"):
        monkeypatch.setenv(name, "tcp://0.0.0.0:1")

    async def test():
        given = {"GOMAXPROCS": "1", "CMT_P2P_PEX": "true"}
        process = await started(
            tmp_path,
            "/usr/bin/env > env.new; pwd >> env.new; mv env.new env; exec sleep 600",
            environment=given,
            fail_index=3,
        )
        lines = (await read_when_there(tmp_path / "home" / "env")).splitlines()
        await process.stop()
        names = {line.partition("=")[0] for line in lines[:-1]} - {"PWD", "SHLVL", "_", "OLDPWD", "LC_CTYPE"}
        assert names == {"GOMAXPROCS", "FAIL_TEST_INDEX"} and "FAIL_TEST_INDEX=3" in lines
        assert lines[-1] == str(tmp_path / "home")

    run(test)


def test_paths_are_the_callers_though_the_engine_works_in_its_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    async def test():
        process = await started(
            Path(), 'test -d "$3" && echo "$3" > said.new; mv said.new said; exec sleep 600'
        )
        said = await read_when_there(tmp_path / "home" / "said")
        await process.stop()
        assert said == f"{tmp_path / 'home'}\n"

    run(test)


def test_an_engine_that_keeps_ending_is_named_with_its_last_words(tmp_path):
    async def test():
        body = """echo '{"level":"error","_msg":"no genesis","err":"file is damaged"}'; echo 'panic: what now'; exit 3"""
        log = Logged()
        process = await started(tmp_path, body, log)
        with pytest.raises(Unavailable) as refused:
            await process.wait_until_ready()
        assert "no genesis file is damaged / panic: what now" in refused.value.message
        before = time.monotonic()
        await process.stop()  # while it waits for its next start
        assert time.monotonic() - before < 2 and process.pid is None
        assert {"exit_code": 3, "seconds": 0.2} in [fields for _, _, fields in log.lines]

    run(test)


def test_it_waits_longer_after_each_death():
    assert [compute_back_off(deaths) for deaths in (1, 2, 3, 4, 7, 50)] == [0.2, 0.4, 0.8, 1.6, 10.0, 10.0]


def test_the_application_listens_first_and_a_killed_engine_s_socket_is_in_nobody_s_way(tmp_path):
    async def test():
        settings = make_settings(application="abci.sock", signer="signer.sock")
        program = make_program(tmp_path, "echo $$ > pid; exec sleep 600")
        process = EngineProcess(program, tmp_path, settings, Logged())
        with pytest.raises(Misconfigured) as refused:
            await process.start()
        assert refused.value.code == "engine-order" and process.pid is None
        for name in ("abci.sock", "signer.sock"):
            with socket.socket(socket.AF_UNIX) as left:
                left.bind(str(tmp_path / name))
        await process.start()
        await read_when_there(tmp_path / "pid")
        assert not (tmp_path / "signer.sock").exists() and (tmp_path / "abci.sock").exists()
        await process.stop()

    run(test)


@pytest.mark.parametrize(
    "line, level, event, fields",
    [
        ({"level": "info", "_msg": "finalized block", "height": 7, "module": "state", "block_app_hash": "00"},
         "info", "engine: finalized block", {"logger": "state", "height": 7}),
        ({"level": "error", "_msg": "Error dialing peer", "err": "connection refused", "module": "p2p"},
         "error", "engine: Error dialing peer", {"logger": "p2p", "reason": "connection refused"}),
        ({"level": "loud", "_msg": "a{b}\u2028c" * 99}, "info", None, {"logger": ""}),
    ],
)  # fmt: skip
def test_what_an_engine_says_becomes_a_fixed_phrase_and_known_fields(line, level, event, fields):
    said = parse_line(json.dumps(line).encode())
    assert (said.level, said.fields) == (level, fields)
    assert said.event == event if event else len(said.event) < 120 and "{" not in said.event


@pytest.mark.parametrize("line", [b"", b"panic: x", b"{", b"[]", b'{"level": 3}', b"\xff" * 70_000])
def test_nothing_an_engine_says_upsets_its_node(line):
    said = parse_line(line)
    assert said.level == "error" and len(str(said.fields)) < 1000


def test_a_line_without_end_is_thrown_away(tmp_path):
    async def test():
        log = Logged()
        body = "head -c 300000 /dev/zero | tr '\\0' x; echo; echo after; exec sleep 600"
        process = await started(tmp_path, body, log)
        await until(lambda: any(fields.get("reason") == "after" for _, _, fields in log.lines))
        await process.stop()

    run(test)


def test_this_process_has_no_children_left():
    """What the tests above started is gone."""
    mine = str(os.getpid())
    stats = [Path(f"/proc/{pid}/stat") for pid in os.listdir("/proc") if pid.isdigit()]
    children = []
    for stat in stats:
        try:
            text = stat.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if text.rpartition(")")[2].split()[1] == mine and ("cometbft" in text or "engine-played" in text):
            children.append(text)
    assert not children
