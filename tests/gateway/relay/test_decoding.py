"""Content codings of the copy, in any split and within bounds."""

import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from spanmeter import decoding
from spanmeter.decoding import Undecodable, decode_whole, decoder_for


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


PACKERS = {
    b"gzip": gzip.compress,
    b"X-Gzip": gzip.compress,
    b"deflate": zlib.compress,
    b" deflate": raw_deflate,
    b"br": brotli.compress,
    b"zstd": zstandard.compress,
    b"identity": bytes,
}


@given(
    body=st.binary(max_size=5000), coding=st.sampled_from(sorted(PACKERS)), cut=st.integers(1, 50)
)
def test_every_coding_is_undone_in_any_split(body: bytes, coding: bytes, cut: int) -> None:
    packed = PACKERS[coding](body)
    decoder = decoder_for(coding)
    pieces = [packed[at : at + cut] for at in range(0, len(packed), cut)]

    decoded = b"".join(pieces if decoder is None else (decoder.decode(piece) for piece in pieces))

    assert decoded == body


def test_gzip_members_in_a_row_are_one_body() -> None:
    assert decode_whole(gzip.compress(b"one ") + gzip.compress(b"two"), b"gzip") == b"one two"


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd"])
def test_what_is_not_of_its_coding_is_undecodable(coding: bytes) -> None:
    with pytest.raises(Undecodable):
        decode_whole(b'{"model": "this is plain"}' * 40, coding)


def test_an_unknown_coding_is_undecodable() -> None:
    with pytest.raises(Undecodable, match="unknown_coding"):
        decoder_for(b"rot13")


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd"])
def test_a_bomb_is_given_up_at_the_limit(coding: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "LIMIT_BYTES", 1_000_000)
    bomb = PACKERS[coding](bytes(20_000_000))

    with pytest.raises(Undecodable, match="too_large"):
        decode_whole(bomb, coding)


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd"])
def test_a_small_bomb_is_given_up_long_before_the_limit(coding: bytes) -> None:
    bomb = PACKERS[coding](bytes(30_000_000))
    decoder = decoder_for(coding)
    assert decoder is not None
    pieces = [bomb[at : at + 16] for at in range(0, len(bomb), 16)]
    sizes: list[int] = []

    with pytest.raises(Undecodable, match="too_large"):
        sizes.extend(len(decoder.decode(piece)) for piece in pieces)

    assert sum(sizes) <= decoding.FREE_BYTES + len(bomb) * decoding.MAX_RATIO


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd"])
def test_templates_that_shrink_to_a_fiftieth_are_read(coding: bytes) -> None:
    message = b'{"role":"user","content":"summarise order %d, which was paid in March"},'
    body = b"".join(message % number for number in range(20_000))

    packed = PACKERS[coding](body)

    assert decode_whole(packed, coding) == body


@pytest.mark.parametrize("coding", [b"gzip, gzip", b"br,gzip", b"gzip\t, identity", b"zstd, zstd"])
def test_codings_in_a_row_are_not_undone(coding: bytes) -> None:
    with pytest.raises(Undecodable, match="unknown_coding"):
        decode_whole(gzip.compress(gzip.compress(b"{}")), coding)


def test_a_zstd_window_beyond_what_http_allows_is_not_allocated() -> None:
    wide = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    packed = packer.compress(bytes(1000)) + packer.flush()

    with pytest.raises(Undecodable, match="malformed"):
        decode_whole(packed, b"zstd")
