"""The torture messages of RFC 4475, written anew from its descriptions: what our reader does with each.

The client never serves requests, so for a request "refused" means that the reader gives nothing, and "read"
that it gives these values; none of them may raise or change anything in a client that waits. A server made of
this reader must still refuse what is noted as its business.
"""

import pytest
from virtual_time import run_virtually

from devlib.network.sip import parse_message, uri_in
from devlib.network.sip_digest import strongest
from devlib.network.sip_stream import SipStream, StreamBroken
from devlib.network.sip_transactions import Transactions


def lines(*text, body=b""):
    """Return a message with these lines."""
    return "\r\n".join([*text, "", ""]).encode() + body


def options(*more, start="OPTIONS sip:user@example.com SIP/2.0", drop=(), body=b"", **changed):
    """Return an ordinary request with headers added, changed (`_` for `-`) or dropped."""
    headers = {
        "Via": "SIP/2.0/UDP host1.example.com;branch=z9hG4bKtorture",
        "Max-Forwards": "70",
        "From": "<sip:caller@example.com>;tag=323",
        "To": "sip:user@example.com",
        "Call-ID": "torture@example.com",
        "CSeq": f"1 {start.split()[0]}",
        "Content-Length": str(len(body)),
    } | {name.replace("_", "-"): value for name, value in changed.items()}
    kept = [f"{name}: {value}" for name, value in headers.items() if name not in drop]
    return lines(start, *kept[:-1], *more, *kept[-1:], body=body)


TORTUOUS = lines(
    "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0",
    "TO :",
    " sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n",
    'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>',
    "  ;",
    "  tag = 98asjd8",
    "MaX-fOrWaRdS: 0068",
    "Call-ID: wsinv.ndaksdj@192.0.2.1",
    "Content-Length   : 4",
    "cseq: 0009",
    "  INVITE",
    "Via  : SIP  /   2.0",
    " /UDP",
    "    192.0.2.2;branch=390skdjuw",
    "s :",
    "NewFangledHeader:   newfangled value",
    " continued newfangled value",
    "UnknownHeaderWithUnusualValue: ;;,,;;,;",
    "Content-Type: application/sdp",
    "Route:",
    " <sip:services.example.com;lr;unknownwith=value;unknown-no-value>",
    "v:  SIP  / 2.0  / TCP     spindle.example.com   ;",
    "  branch  =   z9hG4bK9ikj8  ,",
    " SIP  /    2.0   / UDP  192.168.255.111   ; branch=",
    " z9hG4bK30239",
    'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =',
    "      newvalue ;",
    "  secondparam ; q = 0.33",
    body=b"v=0\n",
)  # fmt: skip


def test_3_1_1_1_a_short_tortuous_invite_is_read():
    """Folding, compact names, odd case and spacing, unknown headers: every value comes out."""
    found = parse_message(TORTUOUS)
    assert (found.method, found.uri) == ("INVITE", "sip:vivekg@chair-dnrc.example.com;unknownparam")
    assert found.cseq == (9, "INVITE")
    assert found.header("to").startswith("sip:vivekg@chair-dnrc.example.com")
    assert uri_in(found.header("from")) == "sip:jdrosen@example.com"
    assert found.header("max-forwards") == "0068"
    assert found.header("subject") == ""
    assert found.header("newfangledheader") == "newfangled value continued newfangled value"
    assert found.header("unknownheaderwithunusualvalue") == ";;,,;;,;"
    assert (found.branch, found.has_one_via, len(found.all("via"))) == ("390skdjuw", False, 2)
    assert found.body == b"v=0\n"
    # The branch is that of the topmost value, also where several share a header.
    second = parse_message(
        TORTUOUS.replace(b"Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\n", b"")
    )
    assert second.branch == "z9hG4bK9ikj8"


def test_3_1_1_2_every_character_that_is_valid_is_read():
    """Methods and URIs may hold almost anything; case is kept, and so are strange bytes."""
    method = "!interesting-Method0123456789_*+`.%indeed'~"
    uri = (
        "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
        "@example.com"
    )
    found = parse_message(
        options("extensionHeader-!.%*+_`'~: \u00ef\u00bb\u00bf\u5927", start=f"{method} {uri} SIP/2.0")
    )
    assert (found.method, found.uri) == (method, uri)
    assert found.cseq == (1, method)
    assert found.header("extensionheader-!.%*+_`'~")


@pytest.mark.parametrize(
    "uri",
    [
        "sip:sips%3Auser%40example.com@example.net",  # 3.1.1.3: escaped colon and at sign in the user part
        "sip:null-%00-null@example.com",  # 3.1.1.4: escaped zero bytes
        "sip:user;par=u%40example.net@example.com",  # 3.1.1.9: semicolon in the user part
        "sip:user@example.com;unknown=sigma",
    ],
)
def test_3_1_1_3_4_9_escapes_in_uris_are_kept(uri):
    """Escapes are not undone: the URI is what was written, nulls among it."""
    assert parse_message(options(start=f"REGISTER {uri} SIP/2.0")).uri == uri


def test_3_1_1_5_a_percent_that_is_no_escape_is_kept():
    """Method `RE%47IST%45R` is another method than REGISTER: escaping means nothing there."""
    found = parse_message(options(start="RE%47IST%45R sip:registrar.example.com SIP/2.0"))
    assert found.method == "RE%47IST%45R"


def test_3_1_1_6_a_display_name_may_touch_its_bracket():
    """No blank between display name and `<`: the URI is found."""
    found = parse_message(options(From="caller<sip:caller@example.com>;tag=323"))
    assert uri_in(found.header("from")) == "sip:caller@example.com"


def test_3_1_1_7_long_values_are_read():
    """Values of many kilobytes and long names are read whole."""
    name = "longheadername" * 7
    value = "very" * 2_000
    found = parse_message(options(f"{name}: {value}", Call_ID=value, Contact=f"<sip:{value}@example.com>"))
    assert found.header("call-id") == found.header(name) == value


def test_3_1_1_8_octets_after_the_body_are_dropped():
    """What follows the body in a datagram is no second message."""
    first = options(start="REGISTER sip:example.com SIP/2.0")
    found = parse_message(first + options(start="INVITE sip:joe@example.com SIP/2.0"))
    assert (found.method, found.body) == ("REGISTER", b"")


def test_3_1_1_10_transports_may_be_unknown():
    """Via names transports that nobody knows; they are read, and the topmost branch counts."""
    found = parse_message(
        options(
            "Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bK2",
            "Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bK4",
            Via="SIP/2.0/TLS t1.example.com;branch=z9hG4bK1",
        )
    )
    assert found.branch == "z9hG4bK1"
    assert len(found.all("via")) == 3


def test_3_1_1_11_a_multipart_body_is_bytes():
    """A body with parts and binary content is handed on as it is."""
    body = (
        b"--7a9cbec02ceef655\r\nContent-Type: text/plain\r\n\r\nHello\r\n--7a9cbec02ceef655--\r\n\x00\x82\x01"
    )
    found = parse_message(options(start="MESSAGE sip:kumiko@example.org SIP/2.0", body=body))
    assert found.body == body


def response(start, *more, **changed):
    """Return an ordinary response."""
    return options(*more, drop=("Max-Forwards",), **changed).replace(
        b"OPTIONS sip:user@example.com SIP/2.0", start.encode(), 1
    )


@pytest.mark.parametrize(
    "reason",
    ["= 2**3 * 5**2 \u043d\u043e \u0441\u0442\u043e", "", "\u5927"],
    ids=["3.1.1.12", "3.1.1.13", "wide"],
)
def test_3_1_1_12_13_any_reason_phrase_is_read(reason):
    """The reason may be empty or any UTF-8; the status is what counts."""
    found = parse_message(response(f"SIP/2.0 200 {reason}"))
    assert (found.status, found.reason) == (200, reason)


REFUSED = {
    "3.1.2.2 Content-Length beyond the message": options(Content_Length="9999", body=b"v=0"),
    "3.1.2.3 negative Content-Length": options(Content_Length="-999", body=b"v=0"),
    "3.1.2.7 brackets around the Request-URI": options(start="INVITE <sip:user@example.com> SIP/2.0"),
    "3.1.2.8 blanks inside the Request-URI": options(start="INVITE sip:user@example.com; lr SIP/2.0"),
    "3.1.2.9 several blanks in the Request-Line": options(start="INVITE  sip:user@example.com  SIP/2.0"),
    "3.1.2.10 blanks at its end": options(start="OPTIONS sip:remote-target@example.com SIP/2.0  "),
    "3.1.2.16 another protocol version": options(start="OPTIONS sip:t.watson@example.org SIP/7.0"),
    "3.1.2.19 status beyond 699": response("SIP/2.0 4294967301 better not break the receiver"),
    "3.3.8 several From, To, Call-ID, CSeq": options("CSeq: 2 OPTIONS", "Call-ID: other", "From: <sip:o@o>"),
    "3.3.9 several Content-Length": options("Content-Length: 5", body=b"12345678"),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_3_1_2_what_two_readers_would_read_differently_is_refused(data):
    """Framing, version and lines that cannot be trusted give no message at all."""
    assert parse_message(data) is None


READ = {
    "3.1.2.1 separators without values": options(
        'Contact: "Joe" <sip:joe@example.org>;;;;', Via="SIP/2.0/UDP 192.0.2.15;;,;,,"
    ),
    "3.1.2.6 a quoted string without end": options(To='"Mr. J. User <sip:j.user@example.com>'),
    "3.1.2.11 headers in the Request-URI": options(start="INVITE sip:u@example.com?R=%3Csip:a%3E SIP/2.0"),
    "3.1.2.12 a time zone that is not GMT": options("Date: Fri, 01 Jan 2010 16:00:00 EST"),
    "3.1.2.13 a contact without brackets": options("Contact: sip:user@example.com?Route=%3Csip:a%3E"),
    "3.1.2.14 blanks inside an address": options(To='"Watson, Thomas" < sip:t.watson@example.org >'),
    "3.1.2.15 a display name that is no token": options(From="Bell, Alexander <sip:bell@example.com>;tag=4"),
    "3.2.1 a branch that is only the cookie": options(Via="SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK"),
    "3.3.1 headers missing": options(drop=("Call-ID", "From", "To")),
    "3.3.2 an unknown scheme in the Request-URI": options(start="OPTIONS nobodyKnowsThisScheme:a/b SIP/2.0"),
    "3.3.3 a known but odd scheme": options(start="OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0"),
    "3.3.4 unknown schemes in headers": options(To="isbn:2983792873", From="<http://www.example.com>;tag=3"),
    "3.3.5 extensions that nobody supports": options("Proxy-Require: noBody", "Require: nothing"),
    "3.3.6 an unknown content type": options("Content-Type: application/unknownformat", body=b"<audio/>"),
    "3.3.11 Max-Forwards 0": options(Max_Forwards="0"),
    "3.3.12 a contact parameter": options("Contact: sip:+19725552222@gw1.example.net;unknownparam"),
    "3.3.13 a contact with a URL parameter": options("Contact: <sip:user@example.com;unknownparam>"),
    "3.3.14 a contact with an escaped header": options("Contact: <sip:user@example.com?Route=%3Csip:a%3E>"),
    "3.3.15 an Accept that cannot be met": options("Accept: text/nobodyKnowsThis"),
    "3.4.1 the syntax of RFC 2543": lines(
        "INVITE sip:UserB@example.com SIP/2.0", "Via: SIP/2.0/UDP iftgw.example.com",
        "From: <sip:+13035551111@ift.example.net;user=phone>",
        "Record-Route: <sip:B@example.com;maddr=ss1>",
        "To: sip:+16505552222@ss1.example.net;user=phone", "Call-ID: inv2543.1717@ift", "CSeq: 56 INVITE",
    ),
}  # fmt: skip


@pytest.mark.parametrize("data", READ.values(), ids=READ.keys())
def test_3_x_what_is_a_servers_business_is_read_without_harm(data):
    """Values that a server would refuse are texts here: they are read, and asking for them never raises."""
    found = parse_message(data)
    assert found.method
    for name in ("to", "from", "contact"):
        assert isinstance(uri_in(found.header(name)), str)
    assert isinstance(found.branch, str)
    assert isinstance(found.has_one_via, bool)


def test_3_1_2_4_numbers_that_are_too_large_name_nothing():
    """A CSeq beyond 2**31 names no transaction; Max-Forwards, Expires and q stay texts."""
    found = parse_message(
        options("Expires: 10000000000", "Contact: <sip:u@e>;expires=280297596632815;q=1.5",
                CSeq="36893488147419103232 REGISTER", Max_Forwards="300",
                start="REGISTER sip:example.com SIP/2.0")
    )  # fmt: skip
    assert found.cseq == (0, "")


def test_3_1_2_5_a_response_with_numbers_that_are_too_large_answers_nothing():
    """Its CSeq names no transaction, so that nobody is answered; Retry-After and Warning stay texts."""
    found = parse_message(
        response(
            "SIP/2.0 503 Service Unavailable", "Retry-After: 949302838503028349304023988",
            'Warning: 1812 overture "In Progress"', CSeq="9292394834772304023312 OPTIONS",
        )
    )  # fmt: skip
    assert (found.status, found.cseq) == (503, (0, ""))


@pytest.mark.parametrize(
    ("start", "cseq"),
    [
        ("OPTIONS sip:user@example.com SIP/2.0", "8 INVITE"),
        ("NEWMETHOD sip:u@example.com SIP/2.0", "8 INVITE"),
    ],
    ids=["3.1.2.17", "3.1.2.18"],
)
def test_3_1_2_17_18_a_cseq_of_another_method_can_be_seen(start, cseq):
    """Method and CSeq differ: both are read, so that a server can refuse; a client's answer never matches."""
    found = parse_message(options(start=start, CSeq=cseq))
    assert found.method != found.cseq[1] == "INVITE"


def test_3_3_7_an_unknown_scheme_of_authorisation_is_not_answered():
    """A challenge in a scheme that nobody knows is none that can be answered."""
    found = parse_message(
        response("SIP/2.0 401 No", "WWW-Authenticate: NoOneKnowsThisScheme opaque-data=here")
    )
    assert strongest(found.all("www-authenticate")) is None


def test_3_3_10_a_response_for_a_broadcast_address_is_for_somebody_else():
    """A response with two Vias, one of them a broadcast address, is read and goes to nobody."""
    data = response(
        "SIP/2.0 200 OK",
        "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23",
        Via="SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923",
    )
    assert not parse_message(data).has_one_via
    assert not answers_anything(data, "z9hG4bK1324923")


ALL = [
    TORTUOUS, *REFUSED.values(), *READ.values(),
    response("SIP/2.0 200 "), response("SIP/2.0 100"),
    options(start="REGISTER sip:null-%00@example.com SIP/2.0"),
]  # fmt: skip


def answers_anything(data, branch, method="OPTIONS"):
    """Return whether `data` ends a request that waits with this branch."""

    async def trial():
        transactions = Transactions()
        asking = transactions.ask(
            branch, (1, method), b"", ("192.0.2.1", 5060), 0.1, send=lambda data, address: None
        )
        transactions.received(data, "192.0.2.1")
        return (await asking).came

    return run_virtually(trial())


@pytest.mark.parametrize("data", ALL)
def test_no_request_and_no_broken_response_ends_what_waits(data):
    """A client that waits with the very branch of the message is answered by a valid final response only."""
    valid = data.startswith(b"SIP/2.0 200 ")
    assert answers_anything(data, "z9hG4bKtorture") is valid


@pytest.mark.parametrize("data", ALL)
def test_over_a_stream_each_comes_out_or_breaks_it(data):
    """Over TCP each is framed by its Content-Length, or the connection is given up; nothing else happens."""
    stream = SipStream()
    try:
        for found in stream.feed(data):
            parse_message(found)
    except StreamBroken:
        pass
    assert stream.held <= len(data)
