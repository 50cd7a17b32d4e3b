from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proofloop_verifier.pdf import PdfError, check_pdf

SNAPSHOT = "5d" * 32


@pytest.fixture
def signed(signed_pdf):
    return signed_pdf(f"Seals {SNAPSHOT}", 1)


@pytest.fixture
def refusal(certificate):
    """Why a summary is refused."""

    def check(pdf):
        with pytest.raises(PdfError) as refused:
            check_pdf(BytesIO(pdf), certificate(1)[1], SNAPSHOT)
        return str(refused.value)

    return check


def test_a_signed_summary_passes(signed, certificate):
    check_pdf(BytesIO(signed), certificate(1)[1], SNAPSHOT)


def test_a_summary_without_a_signature_is_refused(blank_pdf, refusal):
    assert refusal(blank_pdf()) == "The summary has 0 signatures; it must have one."


def test_a_summary_that_another_certificate_signed_is_refused(signed_pdf, refusal):
    assert "another certificate" in refusal(signed_pdf(f"Seals {SNAPSHOT}", 2))


def test_the_summary_of_another_packet_is_refused(signed_pdf, refusal):
    assert "does not name the contents of this packet" in refusal(signed_pdf("Seals something else", 1))


def test_a_changed_page_is_refused(signed, refusal):
    assert refusal(signed.replace(b"10 10 l", b"99 99 l")) == "The summary was changed after it was signed."


def test_anything_added_behind_is_refused(signed, refusal):
    assert "does not cover the whole summary" in refusal(signed + b"\n% more\n")


def test_a_second_signature_is_refused(sign_again, signed, refusal):
    assert refusal(sign_again(signed)) == "The summary has 2 signatures; it must have one."


def test_a_signature_that_leaves_out_more_than_itself_is_refused(signed, refusal):
    begin = signed.index(b"/ByteRange") + len(b"/ByteRange")
    end = signed.index(b"]", begin)
    zero, before, after, rest = (int(number) for number in signed[begin:end].strip(b" [").split())
    other = f" [{zero} {before - 9} {after} {rest}".encode()
    assert "does not cover" in refusal(signed[:begin] + other.ljust(end - begin) + signed[end:])


def test_no_flipped_bit_outside_the_signature_passes(signed, refusal):
    gap = signed.index(b"/Contents <") + len(b"/Contents ")
    for at in [*range(0, gap, 37), gap, *range(signed.index(b">", gap), len(signed), 37)]:
        assert refusal(signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :])


@given(st.binary(max_size=300), st.integers(0, 5000))
def test_whatever_stands_in_the_file_it_is_refused_and_nothing_else_raised(certificate, signed_pdf, content, at):
    signed = signed_pdf(f"Seals {SNAPSHOT}", 1)
    with pytest.raises(PdfError):
        check_pdf(BytesIO(content), certificate(1)[1], SNAPSHOT)
    with pytest.raises(PdfError):
        check_pdf(BytesIO(signed[: at % len(signed)] + content), certificate(1)[1], SNAPSHOT)
