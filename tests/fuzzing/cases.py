"""Files that somebody might have: right ones with faults of every kind, and mere noise."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import strategies as st

_NUMBERS = (
    *("0", "1", "2", "3", "-1", "12", "449", "0.5", "1.0", "-0", "+7", "1e3", "1e308", "-1e308"),
    *(
        "1e999",
        "nan",
        "inf",
        "-inf",
        "9" * 400,
        "9" * 5_000,
        "0x10",
        "1_000",
        "٣",
        "²",
        "1,5",
        "NaN",
    ),
)
_TEXTS = (
    *(
        "e/a.jpg",
        "e/b.jpg",
        "e/a",
        "a.jpg",
        "../../../etc/passwd.jpg",
        "/etc/passwd.jpg",
        "e\\c.jpg",
    ),
    *("e/a.jpg 1 2 3 4 5", "e f/ü.jpg", "x" * 3_000, "-", "#", "e/\0.jpg", "..", ".jpg", "\ud800"),
    *("\u2028", "\ufeff", "2002/08/11/big/img_591", "\x85", "\x1c", "\x0b"),
)
_SEPARATORS = (" ", " ", " ", "  ", "\t", ",", "")
_LINE_ENDS = ("\n", "\n", "\n", "\r\n", "\r", "\n\n", "\n \n", "")

tokens = st.sampled_from((*_NUMBERS, *_NUMBERS, *_TEXTS)) | st.text(max_size=8)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """Lines of names and numbers, in which often enough the right one follows."""
    lines = []
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.integers(0, 9))
        if kind < 3:
            line = draw(st.sampled_from(_TEXTS))
        elif kind < 5:
            line = str(draw(st.integers(0, 3)))
        elif kind < 8:
            columns = draw(st.sampled_from((4, 5, 6, 10)))
            numbers = st.sampled_from(_NUMBERS[:14]) if kind == 7 else st.integers(0, 99).map(str)
            line = " ".join(draw(numbers) for _ in range(columns))
        else:
            separator = draw(st.sampled_from(_SEPARATORS))
            line = separator.join(draw(st.lists(tokens, max_size=6)))
        lines.append(line + draw(st.sampled_from(_LINE_ENDS)))
    encoding = draw(st.sampled_from(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")))
    text = "".join(lines)
    try:
        return text.encode(encoding, "surrogatepass" if encoding != "latin-1" else "replace")
    except UnicodeEncodeError:
        return text.encode(encoding, "replace")


def mutated(*seeds: bytes, tokens: Sequence[bytes] = ()) -> st.SearchStrategy[bytes]:
    """Right files, of which pieces are cut, doubled, moved, overwritten or of another file.

    Args:
        seeds: the right files.
        tokens: pieces that mean something in them.
    """
    return st.builds(
        lambda seed, number: _mutate(seed, Random(number), seeds, tokens),
        st.sampled_from(seeds),
        st.integers(0, 2**64 - 1),
    )


def _mutate(data: bytes, random: Random, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    out = bytearray(data)
    for _ in range(random.choice((0, 1, 1, 1, 2, 3, 8))):
        start = random.randrange(len(out) + 1)
        length = random.choice((1, 1, 2, 4, 8, random.randrange(1, len(out) + 2)))
        stop = min(start + length, len(out))
        kind = random.randrange(8)
        if kind == 0:
            del out[start:stop]
        elif kind == 1:
            del out[start:]
        elif kind == 2:
            out[start:start] = out[start:stop] * random.choice((1, 2, 50))
        elif kind == 3:
            out[start:stop] = random.randbytes(stop - start)
        elif kind == 4:
            out[start:stop] = random.choice((b"\0", b"\xff", b"\x7f", b"9")) * (stop - start)
        elif kind == 5 and stop > start:
            out[start] ^= 1 << random.randrange(8)
        elif kind == 6 and tokens:
            out[start : start + random.choice((0, length))] = random.choice(tokens)
        else:
            other = random.choice(seeds)
            at = random.randrange(len(other) + 1)
            out[start:stop] = other[at : at + length]
        if len(out) > 4 * len(data) + (1 << 16):
            break
    return bytes(out)


def noise(*heads: bytes) -> st.SearchStrategy[bytes]:
    """Bytes of no meaning, behind the first ones of a format."""
    return st.builds(bytes.__add__, st.sampled_from((b"", *heads)), st.binary(max_size=200))


_json_numbers = (
    st.integers(-3, 500)
    | st.floats(width=32)
    | st.sampled_from((True, False, 10**400, -1, 0, 1.0, 2.0, 1e308, 1e7))
)
_json_leaves = (
    st.none() | _json_numbers | st.sampled_from(("1", "e/a.jpg", "0", "false", "")) | tokens
)
json_values = st.recursive(
    _json_leaves,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def json_objects(**fields: st.SearchStrategy) -> st.SearchStrategy:
    """Objects with these fields, of which some are left out or of another kind."""

    @st.composite
    def objects(draw: st.DrawFn) -> object:
        if draw(st.integers(0, 15)) == 0:
            return draw(json_values)
        whole = {}
        for name, values in fields.items():
            choice = draw(st.integers(0, 19))
            if choice > 0:
                whole[name] = draw(json_values if choice == 1 else values)
        return whole

    return objects()
