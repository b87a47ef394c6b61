"""The attributes of SSML that are spoken: what each may say, and how it is written."""

from __future__ import annotations

import pytest

from minitoolai.core.ssml_attributes import ELEMENTS, BadAttribute


@pytest.mark.parametrize(
    ("element", "given", "written"),
    [
        ("speak", {"version": "1.1", "xmlns": "http://x", "xmlns:xsi": "x", "xsi:schemaLocation": "x", "xml:lang": "pl"},
         {"xml:lang": "pl"}),
        ("p", {}, {}), ("s", {"xml:lang": "zh-Hant-TW"}, {"xml:lang": "zh-Hant-TW"}),
        ("break", {}, {}), ("break", {"time": ".25s"}, {"time": "250ms"}), ("break", {"time": "+10s"}, {"time": "10000ms"}),
        ("break", {"time": "0.4ms", "strength": "weak"}, {"time": "0ms"}),
        ("break", {"strength": "x-strong"}, {"strength": "x-strong"}),
        ("prosody", {"rate": "1.2"}, {"rate": "120%"}), ("prosody", {"rate": "+20%"}, {"rate": "120%"}),
        ("prosody", {"rate": "-75%"}, {"rate": "25%"}), ("prosody", {"rate": "400%"}, {"rate": "400%"}),
        ("prosody", {"rate": "x-slow"}, {"rate": "x-slow"}), ("prosody", {"pitch": "+12st"}, {"pitch": "200%"}),
        ("prosody", {"pitch": "-12st"}, {"pitch": "50%"}), ("prosody", {"pitch": "high"}, {"pitch": "high"}),
        ("prosody", {"volume": "-6dB"}, {"volume": "50%"}), ("prosody", {"volume": "+6dB"}, {"volume": "200%"}),
        ("prosody", {"volume": "0"}, {"volume": "0%"}), ("prosody", {"volume": "+10"}, {"volume": "110%"}),
        ("prosody", {"volume": "silent", "range": "50%"}, {"volume": "silent", "range": "50%"}),
        ("emphasis", {}, {}), ("emphasis", {"level": "strong"}, {"level": "strong"}),
        ("say-as", {"interpret-as": "spell-out", "format": "x", "detail": "1"}, {"interpret-as": "characters"}),
        ("say-as", {"interpret-as": "telephone"}, {"interpret-as": "digits"}),
        ("say-as", {"interpret-as": "vxml:date"}, {"interpret-as": "text"}),
        ("sub", {"alias": " World  Wide\nWeb "}, {"alias": "World Wide Web"}),
        ("phoneme", {"ph": "x", "alphabet": "ipa"}, {}), ("mark", {"name": "x"}, {}), ("w", {"role": "x"}, {}),
        ("lang", {"xml:lang": "pl", "onlangfailure": "ignorelang"}, {"xml:lang": "pl"}),
        ("voice", {"gender": "female"}, {"gender": "female"}),
        ("voice", {"languages": "pl:pl-PL en", "gender": "male"}, {"xml:lang": "pl", "gender": "male"}),
    ],
)  # fmt: skip
def test_what_is_written(element: str, given: dict[str, str], written: dict[str, str]) -> None:
    """One way for each, and nothing that nobody needs."""
    assert ELEMENTS[element](given) == written


@pytest.mark.parametrize(
    ("element", "given", "words"),
    [
        ("speak", {"xml:base": "http://x"}, "xml:base"), ("p", {"id": "x"}, "id"), ("s", {"xml:lang": ""}, "language tag"),
        ("s", {"xml:lang": "../../etc"}, "language tag"), ("s", {"xml:lang": "a" * 40}, "language tag"),
        ("break", {"time": "10001ms"}, "time"), ("break", {"time": "1"}, "time"), ("break", {"time": "-1s"}, "time"),
        ("break", {"time": "1e9s"}, "time"), ("break", {"time": "9" * 99 + "s"}, "time"), ("break", {"time": "١s"}, "time"),
        ("break", {"strength": "loud"}, "strength"), ("prosody", {}, "rate, pitch"),
        ("prosody", {"contour": "x"}, "contour"),
        ("prosody", {"rate": "24%"}, "rate"), ("prosody", {"rate": "4.01"}, "rate"), ("prosody", {"rate": "1e999"}, "rate"),
        ("prosody", {"rate": "nan"}, "rate"), ("prosody", {"rate": "+1"}, "rate"), ("prosody", {"rate": "2st"}, "rate"),
        ("prosody", {"pitch": "+13st"}, "pitch"), ("prosody", {"pitch": "+9999st"}, "pitch"),
        ("prosody", {"pitch": "100Hz"}, "pitch"),
        ("prosody", {"pitch": "2st"}, "pitch"), ("prosody", {"volume": "+7dB"}, "volume"),
        ("prosody", {"volume": "201"}, "volume"),
        ("prosody", {"range": "1.5"}, "range"), ("emphasis", {"level": "much"}, "level"), ("say-as", {}, "interpret-as"),
        ("say-as", {"interpret-as": "a b"}, "interpret-as"), ("sub", {}, "alias"), ("sub", {"alias": " "}, "alias"),
        ("sub", {"alias": "x" * 501}, "alias"), ("phoneme", {}, "ph"), ("lang", {}, "xml:lang"), ("mark", {"x": "y"}, "x"),
        ("voice", {}, "xml:lang or gender"), ("voice", {"name": "/etc/passwd"}, "name"),
        ("voice", {"languages": ""}, "language tag"),
        ("voice", {"gender": "robot"}, "gender"), ("token", {"x": "y"}, "x"),
    ],
)  # fmt: skip
def test_what_is_refused(element: str, given: dict[str, str], words: str) -> None:
    """By its name."""
    with pytest.raises(BadAttribute, match=words):
        ELEMENTS[element](given)
