"""Digest: the examples of the RFCs, its own round trip, and hostile challenges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from devlib.network.sip_digest import (
    Credentials,
    answer_challenge,
    challenge,
    is_right_answer,
    is_stale,
    parse_digest,
    strongest,
)

MUFASA = Credentials("Mufasa", SecretStr("Circle Of Life"))
MUFASA_7616 = Credentials("Mufasa", SecretStr("Circle of Life"))
NONCE_7616 = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
CNONCE_7616 = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
RFC_7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    f'nonce="{NONCE_7616}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


def response_of(value):
    return parse_digest(value)["response"]


def test_the_example_of_rfc_2617():
    """RFC 2617 §3.5: MD5 with qop auth."""
    given_ = (
        'Digest realm="testrealm@host.com", qop="auth,auth-int", '
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    answer = answer_challenge(given_, "GET", "/dir/index.html", MUFASA, cnonce="0a4f113b")
    found = parse_digest(answer)
    assert found["response"] == "6629fae49393a05397450978507c4ef1"
    assert (found["qop"], found["nc"], found["opaque"]) == (
        "auth",
        "00000001",
        "5ccc069c403ebaf9f0171e9517f40e41",
    )


def test_the_example_of_rfc_2069():
    """Without qop the old form is used (RFC 2617 §3.2.2.1; the figure of the errata of RFC 2069)."""
    given_ = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    credentials = Credentials("Mufasa", SecretStr("CircleOfLife"))
    answer = answer_challenge(given_, "GET", "/dir/index.html", credentials, cnonce="unused")
    assert response_of(answer) == "1949323746fe6a43ef61f9606e7febea"
    assert "cnonce" not in parse_digest(answer)


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm, expected):
    """RFC 7616 §3.9.1: both algorithms with the values of its text."""
    answer = answer_challenge(
        RFC_7616.format(algorithm), "GET", "/dir/index.html", MUFASA_7616, cnonce=CNONCE_7616
    )
    assert response_of(answer) == expected


words = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=30)


@given(
    st.sampled_from(["MD5", "SHA-256", "MD5-sess", "SHA-256-sess"]),
    words, words, words, words, words,
    st.integers(1, 99),
)  # fmt: skip
def test_an_answer_proves_the_password_and_only_it(algorithm, user, password, realm, nonce, cnonce, count):
    """What the client answers, the other side accepts; with another password, method or nonce it does not."""
    credentials = Credentials(user, SecretStr(password))
    given_ = challenge(realm, nonce, algorithm)
    answer = answer_challenge(given_, "NOTIFY", "sip:a@b", credentials, nonce_count=count, cnonce=cnonce)
    assert is_right_answer(answer, "NOTIFY", credentials, realm, nonce)
    assert not is_right_answer(answer, "OPTIONS", credentials, realm, nonce)
    assert not is_right_answer(answer, "NOTIFY", credentials, realm, nonce + "x")
    other = Credentials(user, SecretStr(password + "x"))
    assert not is_right_answer(answer, "NOTIFY", other, realm, nonce)
    assert password not in answer or password in user + realm + nonce + cnonce + algorithm + given_ + answer


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda b: b.decode("utf-8", "surrogateescape")))
def test_hostile_values_never_raise(text):
    """A challenge and an answer may be any text, with bytes that are no UTF-8 among them."""
    for value in (text, f"Digest {text}", f'Digest realm="{text}", nonce="{text}", qop={text}'):
        parse_digest(value)
        is_stale(value)
        strongest([value, text])
        is_right_answer(value, "NOTIFY", MUFASA, "r", "n")
        answer = answer_challenge(value, "NOTIFY", f"sip:{text}", MUFASA, cnonce=text)
        assert answer is None or answer.startswith("Digest ")


@pytest.mark.parametrize(
    "value",
    [
        'Basic realm="a"',
        "NoOneKnowsThisScheme opaque-data=here",
        'Digest nonce="n"',
        'Digest realm="r"',
        'Digest realm="r", nonce="n", algorithm=SHA-512-256',
        'Digest realm="r", nonce="n", qop="auth-int"',
        "",
    ],
)
def test_what_cannot_be_answered_is_not_answered(value):
    """Another scheme or algorithm, no realm or nonce, protection of the body only: there is no answer."""
    assert answer_challenge(value, "NOTIFY", "sip:a@b", MUFASA, cnonce="c") is None
    assert strongest([value]) is None


def test_the_strongest_challenge_is_answered():
    """SHA-256 is chosen over MD5, whatever their order, and what nobody knows is left out (RFC 8760)."""
    weak, strong = challenge("r", "n", "MD5"), challenge("r", "n", "SHA-256")
    unknown = 'Digest realm="r", nonce="n", algorithm=SHA-512-256'
    assert strongest([weak, unknown, strong]) == strong
    assert strongest([strong, weak]) == strong
    assert strongest([unknown, weak]) == weak
    assert strongest([]) is None


def test_a_password_is_in_no_representation():
    """Neither a log nor a traceback shows it."""
    assert "Circle" not in repr(MUFASA)


@pytest.mark.parametrize(
    ("value", "stale"), [("TRUE", True), ('"true"', True), ("false", False), ("", False)]
)
def test_stale_is_read_without_case(value, stale):
    """`stale` means that only the nonce was too old (RFC 7616 §3.3)."""
    assert is_stale(f'Digest realm="r", nonce="n", stale={value}') is stale
