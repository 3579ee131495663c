"""Redirect addresses: one spelling when registered, equality when asked; over a hundred variants go nowhere (F2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careledger.primitives.errors import Invalid
from careledger.smart.redirects import check_redirect, matches

WEB = "https://app.example/callback"
TENANT = "https://app.example/callback?tenant=a%20b"
LOOPBACK = "http://127.0.0.1/callback"
LOOPBACK_6 = "http://[::1]:3000/callback"
LOCALHOST = "http://localhost:3000/callback"
OWN = "com.example.app:/callback"
BARE = "https://bare.example"
REGISTERED = (WEB, TENANT, LOOPBACK, LOOPBACK_6, LOCALHOST, OWN, BARE)

MAY_BE_REGISTERED = (
    *REGISTERED,
    "https://app.example/",
    "https://app.example:8443/callback",
    "https://192.0.2.7/callback",
    "https://xn--bcher-kva.example/callback",
    "http://localhost:4567/custom/smart/redirect",  # Inferno's own
    "http://127.0.0.1:3000",
    "https://app.example/%C3%A4/callback",
    "https://app.example/a;b=c/d,e!$&'()*+=~-_",
    "https://app.example?x=1",
)

VARIANTS = (
    # port
    "https://app.example:443/callback",
    "https://app.example:8443/callback",
    "https://app.example:/callback",
    "https://app.example:80/callback",
    "https://app.example:0443/callback",
    "http://localhost:3001/callback",
    "http://localhost/callback",
    "http://localhost:03000/callback",
    "http://127.0.0.1:0/callback",
    "http://127.0.0.1:65536/callback",
    "http://127.0.0.1:99999/callback",
    "http://127.0.0.1:080/callback",
    "http://127.0.0.1:/callback",
    "http://127.0.0.1:-1/callback",
    "http://127.0.0.1:80a/callback",
    "http://127.0.0.1:1234567/callback",
    "http://127.0.0.1:3000:3000/callback",
    "http://127.0.0.1: 3000/callback",
    # scheme
    "http://app.example/callback",
    "HTTPS://app.example/callback",
    "Https://app.example/callback",
    "https:/app.example/callback",
    "https:app.example/callback",
    "https:///app.example/callback",
    "//app.example/callback",
    "app.example/callback",
    "/callback",
    "https://127.0.0.1/callback",
    "https://127.0.0.1:3000/callback",
    "ftp://app.example/callback",
    "wss://app.example/callback",
    "javascript:alert(1)//https://app.example/callback",
    "data:text/html,https://app.example/callback",
    "file:///callback",
    "vbscript:msgbox(1)",
    "blob:https://app.example/callback",
    "view-source:https://app.example/callback",
    # host
    "https://attacker.example/callback",
    "https://app.example.attacker.example/callback",
    "https://attacker.example/app.example/callback",
    "https://app.example./callback",
    "https://.app.example/callback",
    "https://www.app.example/callback",
    "https://app-example/callback",
    "https://appXexample/callback",
    "https://APP.example/callback",
    "https://app.example%2f.attacker.example/callback",
    "https://app.example%00.attacker.example/callback",
    "https://app.exam\u0440le/callback",
    "https://\u0430pp.example/callback",
    "https://app\u3002example/callback",
    "https://app.example\uff0fcallback",
    "https://xn--pp-7kc.example/callback",
    "https://app.exa\u00admple/callback",
    "https://app.\uff45xample/callback",
    "https://[::1]/callback",
    "http://127.0.0.1.attacker.example/callback",
    "http://127.0.0.1.nip.io/callback",
    "http://127.0.0.2/callback",
    "http://127.1/callback",
    "http://2130706433/callback",
    "http://0x7f000001/callback",
    "http://0177.0.0.1/callback",
    "http://0.0.0.0/callback",
    "http://[::ffff:127.0.0.1]/callback",
    "http://[0:0:0:0:0:0:0:1]:3000/callback",
    "http://[::1%25lo]:3000/callback",
    "http://localhost.attacker.example:3000/callback",
    "http://127.0.0.1\\.attacker.example/callback",
    # user names
    "https://app.example@attacker.example/callback",
    "https://user@app.example/callback",
    "https://user:secret@app.example/callback",
    "https://@app.example/callback",
    "https://app.example:443@attacker.example/callback",
    "http://127.0.0.1:3000@attacker.example/callback",
    "http://127.0.0.1@attacker.example/callback",
    "https://attacker.example\\@app.example/callback",
    "https://attacker.example#@app.example/callback",
    # path
    "https://app.example/callback/",
    "https://app.example/callback//",
    "https://app.example//callback",
    "https://app.example/Callback",
    "https://app.example/callback2",
    "https://app.example/callback.html",
    "https://app.example/callback/../open?to=https://attacker.example",
    "https://app.example/callback/..",
    "https://app.example/./callback",
    "https://app.example/x/../callback",
    "https://app.example/callback/%2e%2e/open",
    "https://app.example/%2e/callback",
    "https://app.example/..;/callback",
    "https://app.example/call%62ack",
    "https://app.example/callback%20",
    "https://app.example/callback%00",
    "https://app.example/callback%0d%0aSet-Cookie:x=1",
    "https://app.example/callback;v=1",
    "https://app.example\\callback",
    "https://app.example/\\callback",
    "https://app.example%2fcallback",
    "https://app.example",
    "https://app.example/",
    "https://bare.example/",
    "https://bare.example/callback",
    "https://bare.example?x=1",
    "http://127.0.0.1/callback/",
    "http://127.0.0.1:3000/callback/..",
    "http://127.0.0.1:3000/",
    "http://127.0.0.1:3000",
    "http://127.0.0.1:3000/other",
    "http://127.0.0.1:3000//callback",
    # query and fragment
    "https://app.example/callback?",
    "https://app.example/callback?x=1",
    "https://app.example/callback#",
    "https://app.example/callback#x",
    "https://app.example/callback?tenant=a",
    "https://app.example/callback?tenant=a+b",
    "https://app.example/callback?tenant=a%20b&x=1",
    "https://app.example/callback?tenant=a%20b&tenant=c",
    "https://app.example/callback?tenant=A%20b",
    "http://127.0.0.1:3000/callback?x=1",
    "http://127.0.0.1:3000/callback#x",
    # blanks and several
    "",
    " https://app.example/callback",
    "https://app.example/callback ",
    "https://app.example/callback\n",
    "https://app.example/callback\r\nx",
    "https://app.example/call\tback",
    "https://app.example/callback https://attacker.example/",
    "https://app.example/callback,https://attacker.example/",
    "https://app.example/callback\x00",
    "\ufeffhttps://app.example/callback",
    "https://app.example/callback\u200b",
    "http://127.0.0.1:3000/callback\n",
    "null",
    "*",
    "https://*.example/callback",
    # own schemes
    "com.example.app://callback",
    "com.example.app:/callback/",
    "com.example.app:callback",
    "COM.example.app:/callback",
    "com.example.app2:/callback",
    "com.example.app:/callback?x=1",
    "intent://callback#Intent;scheme=com.example.app;end",
)


def test_the_corpus_is_large_and_of_different_things():
    assert len(set(VARIANTS)) == len(VARIANTS) >= 100
    assert not set(VARIANTS) & set(REGISTERED)


@pytest.mark.parametrize("requested", VARIANTS)
def test_a_variant_goes_nowhere(requested):
    assert not matches(REGISTERED, requested)
    assert not matches((requested + "x",), requested)


@pytest.mark.parametrize("address", REGISTERED)
def test_what_is_registered_is_taken_as_it_stands(address):
    assert matches(REGISTERED, address)
    assert not matches((), address)


@pytest.mark.parametrize(
    "requested",
    [
        "http://127.0.0.1:1/callback",
        "http://127.0.0.1:65535/callback",
        "http://[::1]/callback",
        "http://[::1]:9/callback",
    ],
)
def test_a_native_apps_loopback_address_has_any_port(requested):
    """RFC 8252, 7.3; a numeric address only."""
    assert matches(REGISTERED, requested)
    assert not matches((WEB, LOCALHOST), requested)


@pytest.mark.parametrize("address", MAY_BE_REGISTERED)
def test_what_may_be_registered(address):
    check_redirect(address, is_public=True)


NEVER_REGISTERED = (
    *(one for one in VARIANTS if one not in MAY_BE_REGISTERED and one not in (
        # Other people's addresses, properly spelled: refused by comparison, not by their form.
        "https://app.example:80/callback", "http://localhost:3001/callback", "http://localhost/callback", "https://127.0.0.1/callback",
        "https://127.0.0.1:3000/callback", "https://attacker.example/callback",
        "https://app.example.attacker.example/callback", "https://attacker.example/app.example/callback",
        "https://www.app.example/callback", "https://app-example/callback", "https://xn--pp-7kc.example/callback",
        "https://[::1]/callback", "https://app.example/callback/", "https://app.example/Callback",
        "https://app.example/callback2", "https://app.example/callback.html", "https://app.example/..;/callback",
        "https://app.example/call%62ack", "https://app.example/callback%20", "https://app.example/callback;v=1",
        "https://app.example", "https://bare.example/", "https://bare.example/callback", "https://bare.example?x=1",
        "http://127.0.0.1/callback/", "http://127.0.0.1:3000/", "http://127.0.0.1:3000/other",
        "https://app.example/callback?", "https://app.example/callback?x=1", "https://app.example/callback?tenant=a",
        "https://app.example/callback?tenant=a+b", "https://app.example/callback?tenant=a%20b&x=1",
        "https://app.example/callback?tenant=a%20b&tenant=c", "https://app.example/callback?tenant=A%20b",
        "http://127.0.0.1:3000/callback?x=1", "https://app.example/callback,https://attacker.example/",
        "com.example.app:/callback/", "com.example.app2:/callback", "com.example.app:/callback?x=1",
    )),
    "https://app.example/callback?code=x",
    "https://app.example/callback?a=b&state=x",
    "https://app.example/callback?%73tate=x",
    "https://app.example/callback?error=access_denied",
    "https://app.example/callback?iss=https%3a",
    "https://app.example/a%2Fb",
    "https://app.example/a%2fb",
    "https://app.example/a%5Cb",
    "https://app.example/a%25",
    "https://app.example/a%zz",
    "https://app.example/a%",
    "https://app.example/a%7",
    "https://app_example/callback",
    "https://-app.example/callback",
    "https://app..example/callback",
    "https://1.2.3/callback",
    "https://1.2.3.4.5/callback",
    "https://256.1.1.1/callback",
    "https://app.example:70000/callback",
    "https://[2001:db8::1]/callback",
    "callback:/x",
    "https://" + "a" * 2048,
    "https://" + "a" * 64 + ".example/",
)  # fmt: skip


@pytest.mark.parametrize("address", NEVER_REGISTERED)
def test_what_has_a_second_reading_is_not_registered(address):
    with pytest.raises(Invalid) as refused:
        check_redirect(address, is_public=True)
    assert refused.value.code.startswith("redirect-")
    assert refused.value.hint


def test_an_apps_own_scheme_is_for_public_clients():
    with pytest.raises(Invalid):
        check_redirect(OWN, is_public=False)
    check_redirect(WEB, is_public=False)


@given(
    st.text(max_size=40)
    | st.from_regex(r"http(s)?://(127\.0\.0\.1|\[::1\])(:\d{1,6})?[ -~]{0,10}", fullmatch=True)
)
def test_nothing_matches_but_itself_and_its_other_ports(requested):
    registered = (WEB, "http://127.0.0.1:8000/cb", "http://[::1]/cb")
    if matches(registered, requested) and requested not in registered:
        host, _, rest = requested[7:].rpartition("/")
        assert rest == "cb"
        name, _, port = host.rpartition(":")
        assert host in ("127.0.0.1", "[::1]") or (name in ("127.0.0.1", "[::1]") and 0 < int(port) < 65_536)


@given(st.text(max_size=60) | st.from_regex(r"https?://[!-~]{0,30}", fullmatch=True))
def test_any_text_may_be_registered_or_is_invalid(address):
    try:
        check_redirect(address, is_public=True)
    except Invalid:
        return
    assert matches((address,), address)
