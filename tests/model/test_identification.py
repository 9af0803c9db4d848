"""What phones say of themselves: every published form, and hostile text that must not be believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devlib.model import Contradiction, Mac, MacSource, contradiction, identify, load_catalogue

UA, NAME, INSTANCE = MacSource.USER_AGENT, MacSource.DEVICE_NAME, MacSource.INSTANCE
CATALOGUE = load_catalogue()

# The user agents of published REGISTERs, scanners and guides (SIP study §8).
PUBLISHED = [
    (
        "Cisco-CP-8865-3PCC/12.0.3_dcf719f39350_d4e6994b-60bc-4fba-a490-fe5f8e74ceea_dcf719f3-9350-4fba-a490-fe5f8e74ceea",
        ("Cisco", "8865-3PCC", "12.0.3", "DCF719F39350"),
    ),
    ("Cisco-CP-8865-3PCC/12.0.3_dcf719f39350", ("Cisco", "8865-3PCC", "12.0.3", "DCF719F39350")),
    ("Cisco-CP-8841-3PCC/11.0 (00562b043615)", ("Cisco", "8841-3PCC", "11.0", "00562B043615")),
    ("Cisco-CP8851/12.1.1", ("Cisco", "8851", "12.1.1", None)),
    ("Cisco-CP8865NR/14.2.1", ("Cisco", "8865NR", "14.2.1", None)),
    ("Cisco-CP8841/12.6.1", ("Cisco", "8841", "12.6.1", None)),
    ("Cisco-CP8961/9.4.2", ("Cisco", "8961", "9.4.2", None)),
    ("Cisco-CP7960G/8.0", ("Cisco", "7960G", "8.0", None)),
    ("Cisco-ATA191-MPP/11-1-0MSR3-9", ("Cisco", "ATA191-MPP", "11-1-0MSR3-9", None)),
    ("Cisco/SPA303-7.4.8a", ("Cisco", "SPA303", "7.4.8a", None)),
    ("Cisco/SPA122-1.4.1(SR5)", ("Cisco", "SPA122", "1.4.1(SR5)", None)),
    ("Cisco/SPA525G2-7.6.1(ES_RC01)", ("Cisco", "SPA525G2", "7.6.1(ES_RC01)", None)),
    ("Linksys/SPA2102-5.2.3", ("Cisco", "SPA2102", "5.2.3", None)),
    (
        "Cisco/SPA508G-7.4.4 (0002FDFF2103)(CBT141400UK)",
        ("Cisco", "SPA508G", "7.4.4", "0002FDFF2103"),
    ),
    (
        "PolycomVVX-VVX_150-UA/6.4.1.2280_482567164887",
        ("Poly", "VVX_150", "6.4.1.2280", "482567164887"),
    ),
    ("PolycomVVX-VVX_450-UA/6.4.3.5018", ("Poly", "VVX_450", "6.4.3.5018", None)),
    ("PolycomVVX-VVX_350-UA/5.9.5.0614", ("Poly", "VVX_350", "5.9.5.0614", None)),
    ("PolycomVVX-VVX_250-UA/6.4.3.5156", ("Poly", "VVX_250", "6.4.3.5156", None)),
    ("PolycomSoundPointIP-SPIP_450-UA/3.2.3.1734", ("Poly", "SPIP_450", "3.2.3.1734", None)),
    ("Yealink SIP-T46S 66.85.0.5", ("Yealink", "T46S", "66.85.0.5", None)),
    ("Yealink SIP-T27G 69.86.0.15", ("Yealink", "T27G", "69.86.0.15", None)),
    ("Yealink SIP-T22P 7.73.0.50", ("Yealink", "T22P", "7.73.0.50", None)),
    ("Yealink SIP-T21P_E2 52.83.0.35", ("Yealink", "T21P_E2", "52.83.0.35", None)),
    ("Yealink W60B 77.83.0.85", ("Yealink", "W60B", "77.83.0.85", None)),
    ("Yealink SIP-T54W 96.86.0.70 80:5e:c0:12:34:56", ("Yealink", "T54W", "96.86.0.70", "805EC0123456")),
    ("snomD785/10.1.84.12", ("Snom", "D785", "10.1.84.12", None)),
    ("snom821/873_19_20130321", ("Snom", "821", "873_19_20130321", None)),
    ("snom370/8.7.5.48", ("Snom", "370", "8.7.5.48", None)),
    ("snom360/7.3.30", ("Snom", "360", "7.3.30", None)),
    (
        "snomM700/03.23.0005 (MAC=0004136ABCDE; SER= 00000; HW=255)",
        ("Snom", "M700", "03.23.0005", "0004136ABCDE"),
    ),
    ("snomM700/03.23.0005 (MAC=0004136*****; SER= 00000; HW=255)", ("Snom", "M700", "03.23.0005", None)),
    ("Grandstream HT-502  V2.0A 1.0.9.1  chip V2.2", ("Grandstream", "HT-502", "1.0.9.1", None)),
    ("Grandstream GXP2200 1.0.3.27", ("Grandstream", "GXP2200", "1.0.3.27", None)),
    ("Grandstream GXP1625 1.0.2.25", ("Grandstream", "GXP1625", "1.0.2.25", None)),
    ("Fanvil X303 2.12.18.9 0c383e63963b", ("Fanvil", "X303", "2.12.18.9", "0C383E63963B")),
    ("Mitel-6920-SIP/6.4.0.140", ("Mitel", "6920", "6.4.0.140", None)),
    ("Mitel 6930/6.4.0.132", ("Mitel", "6930", "6.4.0.132", None)),
    ("Aastra 6731i/3.2.2.3077", ("Mitel", "6731i", "3.2.2.3077", None)),
    ("Mitel6915 MAC:14-00-E9-1B-E2-41 V:6.4.0.140-SIP", ("Mitel", "6915", "6.4.0.140", "1400E91BE241")),
    # Of §7, DECT.
    (
        "Mozilla/4.0 (compatible; Snom M900 05.20.0001 000413b60680)",
        ("Snom", "M900", "05.20.0001", "000413B60680"),
    ),
    ("Yealink W80DM 103.83.0.122 24:9a:d8:d1:a6:31", ("Yealink", "W80DM", "103.83.0.122", "249AD8D1A631")),
    ("Yealink W90DM 130.85.0.15 80:5e:c0:d9:c7:44", ("Yealink", "W90DM", "130.85.0.15", "805EC0D9C744")),
    ("Yealink W80B 103.83.0.90 80:5e:c0:71:01:38", ("Yealink", "W80B", "103.83.0.90", "805EC0710138")),
    ("Yealink W70B 146.85.0.20", ("Yealink", "W70B", "146.85.0.20", None)),
    (
        "Gigaset N870 IP PRO/83.V2.11.0+build.a546b91;7C2F80E0D605",
        ("Gigaset", "N870 IP PRO", "83.V2.11.0+build.a546b91", "7C2F80E0D605"),
    ),
    (
        "Gigaset N720 DM PRO/70.089.00.000.000;7C2F80CA21E4",
        ("Gigaset", "N720 DM PRO", "70.089.00.000.000", "7C2F80CA21E4"),
    ),
]


@pytest.mark.parametrize(("user_agent", "expected"), PUBLISHED, ids=[each[0][:40] for each in PUBLISHED])
def test_every_published_form_is_read(user_agent, expected):
    """Vendor, model, firmware and MAC are read, and nothing is read that is not there."""
    vendor, model, firmware, digits = expected
    found = identify(user_agent)
    assert (found.vendor, found.model) == (vendor, model)
    if firmware is not None:
        assert found.firmware == firmware
    assert (found.mac.digits if found.mac else None) == digits
    assert found.mac_from == (UA if digits else None)


@pytest.mark.parametrize("user_agent", ["baresip v1.0.0 (x86_64/linux)", "n/a", "", None, "Asterisk PBX 18"])
def test_what_nobody_published_is_not_recognised(user_agent):
    """A softphone says nothing that could be held against the inventory."""
    found = identify(user_agent, "urn:uuid:7a3d2f60-1234-4c21-9e11-0a1b2c3d4e5f")
    assert (found.vendor, found.model, found.firmware, found.mac, found.mac_from) == (None,) * 5


@pytest.mark.parametrize(
    ("instance", "digits"),
    [
        ("<urn:uuid:00000000-0000-0000-0000-9c57ad12a4e0>", "9C57AD12A4E0"),
        ("urn:uuid:00000000-0000-1000-8000-000B82566BBB", "000B82566BBB"),
        ("urn:uuid:00000000-0000-0000-8000-000B82566BBB", "000B82566BBB"),
        ("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", None),
        ("urn:uuid:00000000-0000-4000-8000-000B82566BBB", None),
        ("urn:uuid:00000000-0000-1000-8000-000000000000", None),
        ("urn:uuid:00000000-0000-1000-8000-FFFFFFFFFFFF", None),
        ("urn:uuid:00000000-0000-1000-8000-010B82566BBB", None),
    ],
)
def test_only_a_nil_instance_tells_a_mac(instance, digits):
    """The node of a time-based or random UUID is no phone's address, nor is a group address."""
    found = identify(None, instance)
    assert (found.mac.digits if found.mac else None) == digits
    assert found.mac_from == (INSTANCE if digits else None)


def test_the_order_of_the_sources():
    """User agent before device name before instance (SIP study §8)."""
    contact = '<sip:a@192.0.2.1>;+u.sip!devicename.ccm.cisco.com="SEP9C57AD12A4E0"'
    instance = "<urn:uuid:00000000-0000-0000-0000-9c57ad12a4e1>"
    both = identify("Cisco-CP8851/12.1.1", instance, contact)
    assert (both.mac, both.mac_from) == (Mac.parse("9C57AD12A4E0"), NAME)
    every = identify("Cisco-CP-8851-3PCC/12.0.3_9c57ad12a4e2", instance, contact)
    assert (every.mac, every.mac_from) == (Mac.parse("9C57AD12A4E2"), UA)
    assert identify("Cisco-CP8851/12.1.1", instance).mac_from is INSTANCE
    assert identify("x", None, "sip:a;n=SEP9C57AD12A4E0F").mac is None


@given(st.text(max_size=400), st.text(max_size=100), st.text(max_size=100))
def test_no_text_raises(user_agent, instance, contact):
    """Whatever a phone says, it is read or it is not."""
    found = identify(user_agent, instance, contact)
    assert (found.mac is None) == (found.mac_from is None)
    for text in (found.model, found.firmware):
        assert text is None or (len(text) <= 41 and text.isascii())


@given(st.sampled_from([each[0] for each in PUBLISHED]), st.binary(max_size=12), st.integers(0, 80))
def test_no_broken_published_form_raises(said, noise, place):
    """A real user agent with rubbish in the middle of it is read or not, without an error."""
    identify(said[:place] + noise.decode("latin-1") + said[place:])


@pytest.mark.parametrize(
    ("device_type", "user_agent"),
    [
        ("Cisco 8851", "Cisco-CP-8851-3PCC/12.0.3"),
        ("Cisco 8851", "Cisco-CP8851/12.1.1"),
        ("Cisco 8865", "Cisco-CP8865NR/14.2.1"),
        ("Cisco ATA191", "Cisco-ATA191-MPP/11-1-0MSR3-9"),
        ("Poly VVX450", "PolycomVVX-VVX_450-UA/6.4.3.5018"),
        ("Poly Edge E350", "PolyEdge-E350-UA/8.1.3.0124"),
        ("Yealink T46S", "Yealink SIP-T46S 66.85.0.5"),
        ("Yealink W80B", "Yealink W80DM 103.83.0.122 24:9a:d8:d1:a6:31"),
        ("Snom M700", "snomM700/03.23.0005 (MAC=0004136ABCDE; SER= 00000; HW=255)"),
        ("Gigaset N870 IP PRO", "Gigaset N870 IP PRO/83.V2.11.0+build.a546b91;7C2F80E0D605"),
        ("Grandstream HT802", "Grandstream HT802 1.0.9.1"),
        ("Yealink T46S", "Yealink something else"),
        ("Yealink T46S", "baresip v1.0.0"),
        ("Yealink T46S", None),
        ("Nobody Z9", "Yealink SIP-T46S 66.85.0.5"),
    ],
)
def test_names_of_one_model_contradict_nothing(device_type, user_agent):
    """Catalogue names, aliases and variants are one model; what is not recognised says nothing."""
    found = identify(user_agent)
    assert contradiction(device_type, found.vendor, found.model, CATALOGUE) is None


@pytest.mark.parametrize(
    ("device_type", "user_agent", "what"),
    [
        ("Cisco 8851", "Yealink SIP-T46S 66.85.0.5", Contradiction.VENDOR),
        ("Yealink T46S", "Yealink SIP-T46U 108.86.0.20", Contradiction.MODEL),
        ("Yealink T53", "Yealink SIP-T53W 96.86.0.70", Contradiction.MODEL),
        ("Cisco 8851", "Cisco-CP-8861-3PCC/12.0.3", Contradiction.MODEL),
        ("Snom M700", "Mozilla/4.0 (compatible; Snom M900 05.20.0001 000413b60680)", Contradiction.MODEL),
        ("Snom M700", "snomD785/10.1.84.12", Contradiction.MODEL),
        ("Yealink W60B", "Yealink W70B 146.85.0.20", Contradiction.MODEL),
        ("Yealink W80B", "Yealink W90DM 130.85.0.15 80:5e:c0:d9:c7:44", Contradiction.MODEL),
        ("Snom M700", "Fanvil X4U 2.12.18.9", Contradiction.VENDOR),
    ],
)
def test_another_maker_and_another_model_contradict(device_type, user_agent, what):
    """Another maker, or a model that is another one in the catalogue."""
    found = identify(user_agent)
    assert contradiction(device_type, found.vendor, found.model, CATALOGUE) is what


@pytest.mark.parametrize("kind", CATALOGUE.types, ids=lambda kind: kind.name)
def test_no_type_contradicts_its_own_name(kind):
    """Each type of the catalogue agrees with its own model, and with no other maker's."""
    assert contradiction(kind.name, kind.vendor, kind.model, CATALOGUE) is None
    assert contradiction(kind.name, "Mitel", kind.model, CATALOGUE) is Contradiction.VENDOR
