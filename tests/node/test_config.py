"""Configuration: who wins, where a value came from, and what is refused. The log: canaries stay out."""

from __future__ import annotations

import io
import json
import logging

import pytest

from careledger.node import config as configuration
from careledger.node.config import SETTINGS, Config, environment_name, load
from careledger.node.log import FIELDS, configure, logger
from careledger.primitives.errors import Misconfigured


def write(home, text):
    (home / "config.toml").write_text(text, encoding="utf-8")
    return home


def test_each_layer_overrides_the_one_below_and_says_so(tmp_path):
    home = write(tmp_path, '[server]\nworkers = 2\nbacklog = 20\nlisten = "127.0.0.1:1"\n')
    environment = {"CARELEDGER_SERVER__WORKERS": "3", "CARELEDGER_SERVER__LISTEN": "127.0.0.1:2", "PATH": "x"}
    config = load(home, environment, {"server.listen": "127.0.0.1:3", "server.base_url": None})
    assert (config.server.listen, config.server.workers, config.server.backlog) == ("127.0.0.1:3", 3, 20)
    origins = {name: (value, origin) for name, value, origin in config.show_origin()}
    assert origins["server.listen"] == ("127.0.0.1:3", "flag --listen")
    assert origins["server.workers"] == (3, "environment CARELEDGER_SERVER__WORKERS")
    assert origins["server.backlog"] == (20, str(home / "config.toml"))
    assert origins["server.base_url"] == ("", "default")


def test_every_setting_can_be_set_in_every_layer(tmp_path):
    config = load(None, {}, {})
    assert [row[0] for row in config.show_origin()] == [setting.name for setting in SETTINGS]
    assert isinstance(config, Config)
    for setting in SETTINGS:
        other = {"server.tls_cert": "", "server.tls_key": "", "server.base_url": "http://x"}.get(setting.name)
        if other is None:
            default = setting.default
            if isinstance(default, bool):
                other = not default
            elif isinstance(default, int):
                other = setting.high
            else:
                other = setting.choices[-1] if setting.choices else "127.0.0.1:9"
        shown = str(other).lower() if isinstance(other, bool) else str(other)
        by_environment = load(None, {environment_name(setting.name): shown}, {})
        section, _, key = setting.name.partition(".")
        text = json.dumps(other)
        by_file = load(write(tmp_path, f"[{section}]\n{key} = {text}\n"), {}, {})
        by_flag = load(None, {}, {setting.name: other})
        assert (
            by_environment.value(setting.name)
            == by_file.value(setting.name)
            == by_flag.value(setting.name)
            == other
        )
        assert by_environment.origins[setting.name].startswith("environment ")


def test_passphrase_file_has_a_short_name():
    config = load(None, {"CARELEDGER_PASSPHRASE_FILE": "/run/p", "CARELEDGER_HOME": "x"}, {})
    assert config.keys.passphrase_file == "/run/p"
    both = {"CARELEDGER_KEYS__PASSPHRASE_FILE": "/long", "CARELEDGER_PASSPHRASE_FILE": "/short"}
    assert load(None, both, {}).keys.passphrase_file == "/long"


REFUSED_FILES = [
    ("[server]\nworkres = 2\n", "did you mean server.workers?"),
    ("[sever]\nworkers = 2\n", "did you mean server?"),
    ("server = 2\n", "server"),
    ("[server]\nworkers = 0\n", ""),
    ("[server]\nworkers = 65\n", ""),
    ("[server]\nworkers = '2x'\n", ""),
    ("[server]\nworkers = true\n", ""),
    ("[server]\nworkers = 1.0\n", ""),
    ("[server]\nbehind_proxy = 1\n", ""),
    ("[server]\nlisten = 8080\n", ""),
    ("[server]\nlisten = 'localhost'\n", "HOST:PORT"),
    ("[server]\nlisten = '127.0.0.1:99999'\n", "HOST:PORT"),
    ("[server]\nlisten = '0.0.0.0:8080'\n", "behind_proxy"),
    ("[server]\nlisten = '[::]:8080'\n", "behind_proxy"),
    ("[server]\nlisten = 'example.org:8080'\n", "behind_proxy"),
    ("[server]\ntls_cert = 'a.pem'\n", "tls_key"),
    ("[server]\nbase_url = 'example.org'\n", "https://"),
    ("[log]\nlevel = 'loud'\n", "debug"),
    ("[log\n", ""),
    ("\x00", ""),
]


@pytest.mark.parametrize("text, hint", REFUSED_FILES, ids=range(len(REFUSED_FILES)))
def test_refused_files(tmp_path, text, hint):
    with pytest.raises(Misconfigured) as refusal:
        load(write(tmp_path, text), {}, {})
    assert hint in refusal.value.hint


def test_refused_environment_and_flags():
    with pytest.raises(Misconfigured) as refusal:
        load(None, {"CARELEDGER_SERVER__WORKER": "2"}, {})
    assert refusal.value.hint == "did you mean server.workers?"
    with pytest.raises(Misconfigured):
        load(None, {}, {"server.worker": 2})


def test_off_loopback_with_tls_or_a_proxy():
    assert load(None, {}, {"server.listen": "0.0.0.0:1", "server.behind_proxy": True})
    assert load(None, {}, {"server.listen": "0.0.0.0:1", "server.tls_cert": "c", "server.tls_key": "k"})
    assert load(None, {}, {"server.listen": "[::1]:1"}).server.address == ("::1", 1)
    assert configuration.split_listen(":9") == ("127.0.0.1", 9)


CANARIES = [
    "Adell482",
    "Mills423",
    "1974-03-02",
    "999-12-3456",
    "Patient/4711",
    "eyJhbGciOi",
    "category=vital",
]


def test_log_keeps_canaries_out_whoever_logs():
    stream = io.StringIO()
    configure("debug", stream)
    try:
        for canary in CANARIES:
            raised = ValueError(f"cannot parse {canary}")
            try:
                raise raised
            except ValueError as error:
                logger().error(
                    "it failed", exc_info=error, query=canary, body=canary.encode(), path=f"/fhir/{canary}"
                )
                logging.getLogger("uvicorn.error").error("bad %s", canary, exc_info=error)
            logger().info(f"{canary}\n did something", route=f"/fhir/{canary}", headers={canary: canary})
            logger().warning("a list", rule=[canary], code={"a": canary}, frames=(canary,), status=200)
            logging.getLogger("asyncio").warning(canary)
    finally:
        configure("error", io.StringIO())
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == 5 * len(CANARIES)
    for canary in CANARIES:
        assert canary not in stream.getvalue() or canary.isdigit()
    assert all(set(line) <= FIELDS | {"dropped"} for line in lines)
    assert lines[0]["error"] == "ValueError"
    assert lines[0]["frames"]
    assert lines[0]["dropped"] == 3
