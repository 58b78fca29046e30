import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llama_stack.providers._shared.safety import checksums
from llama_stack.providers._shared.safety.pii_patterns import ENTITIES, entropy, find
from llama_stack.providers.safety.pii import Pii, PiiConfig, Searched
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.safety import ViolationLevel
from tests.providers.safety.local import opened, shield

pytestmark = pytest.mark.anyio

CARD = "4111 1111 1111 1111"
MAIL = "jane.doe+news@mail.example.co.uk"
TOKEN = "ghp_" + "0a1B2c3D4e5F" * 3


def found(text: str) -> list[tuple[str, str]]:
    return [(one.entity, text[one.start : one.end]) for one in find(text, ENTITIES, 0.5)]


@pytest.mark.parametrize(
    ("entity", "value"),
    [
        ("CREDIT_CARD", CARD),
        ("CREDIT_CARD", "378282246310005"),
        ("CREDIT_CARD", "5555-5555-5555-4444"),
        ("IBAN", "GB82 WEST 1234 5698 7654 32"),
        ("IBAN", "DE89370400440532013000"),
        ("EMAIL", MAIL),
        ("PHONE", "+49 170 1234567"),
        ("PHONE", "(415) 555-2671"),
        ("PHONE", "030 1234 5678"),
        ("US_SSN", "123-45-6789"),
        ("IP_ADDRESS", "203.0.113.9"),
        ("IP_ADDRESS", "2001:db8::1"),
        ("API_KEY", "sk-proj-aB3dE5fG7hI9jK1lM3nO5pQ7"),
        ("API_KEY", TOKEN),
        ("API_KEY", "AKIAIOSFODNN7EXAMPLE"),
        ("API_KEY", "xoxb-123456789012-abcdefGHIJ"),
        ("API_KEY", "AIza" + "Sy0-9_AbCd" * 3 + "12345"),
        ("JWT", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefghijk"),
        ("PRIVATE_KEY", "-----BEGIN RSA PRIVATE KEY-----\nMIIEow==\n-----END RSA PRIVATE KEY-----"),
        ("NATIONAL_ID", "529.982.247-25"),
        ("NATIONAL_ID", "12345678Z"),
        ("NATIONAL_ID", "RSSMRA85T10A562S"),
        ("NATIONAL_ID", "2341 2341 2346"),
    ],
)
def test_each_entity_is_found_within_a_sentence(entity: str, value: str) -> None:
    assert found(f"Here it is: {value}, thanks.") == [(entity, value)]


@pytest.mark.parametrize(
    ("words", "number"),
    [("Steuer-ID", "86095742719"), ("PESEL", "44051401359"), ("BSN", "111222333"), ("NHS number", "943 476 5919")],
)
def test_numbers_that_look_like_any_other_need_their_name(words: str, number: str) -> None:
    assert found(f"My {words}: {number}.") == [("NATIONAL_ID", number)]
    assert ("NATIONAL_ID", number) not in found(f"We sold {number} pieces.")


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112 has a wrong check digit",
        "GB82 WEST 1234 5698 7654 33 too",
        "000-12-3456, 666-12-3456, 900-12-3456 and 123-00-4567 were never issued",
        "at 12:30:45 on 2024-05-06 std::vector was 127.0.0.1 or ::1",
        "version 10.300.2.1, chapter 3.1.4, 1,000,000 people, ISBN 978-3-16-148410-0",
        "sk-learn-is-a-nice-library-name",
        'password = "changeme" and api_key = os.environ["KEY"] and token: ${TOKEN}',
        "eyJhbGciOiJub3Blcw.eyJub3Blcw.nope-nope-nope",
        "write to user@localhost or @jane",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert found(text) == []


def with_luhn(digits: str) -> str:
    return next(digits + last for last in "0123456789" if checksums.luhn(digits + last))


@given(st.text("0123456789", min_size=14, max_size=14))
def test_every_visa_number_is_found_and_no_other_check_digit_is(middle: str) -> None:
    card = with_luhn("4" + middle)
    assert checksums.payment_card(card)
    assert found(f"card {card}.") == [("CREDIT_CARD", card)]
    others = [card[:-1] + last for last in "0123456789" if last != card[-1]]
    assert not any(checksums.payment_card(other) for other in others)


@given(st.text("0123456789", min_size=18, max_size=18), st.integers(0, 17))
def test_an_iban_s_check_digits_notice_a_wrong_digit(account: str, at: int) -> None:
    check = 98 - int(account + "131400") % 97
    iban = f"DE{check:02}{account}"
    assert checksums.iban(iban)
    assert found(f"to {iban}!") == [("IBAN", iban)]
    wrong = account[:at] + str((int(account[at]) + 1) % 10) + account[at + 1 :]
    assert not checksums.iban(f"DE{check:02}{wrong}")


@given(st.text("0123456789", min_size=11, max_size=11), st.integers(0, 11), st.integers(1, 9))
def test_verhoeff_notices_a_wrong_digit(digits: str, at: int, by: int) -> None:
    number = next(digits + last for last in "0123456789" if checksums.verhoeff(digits + last))
    wrong = number[:at] + str((int(number[at]) + by) % 10) + number[at + 1 :]
    assert not checksums.verhoeff(wrong)


@given(st.lists(st.sampled_from([CARD, MAIL, TOKEN, "123-45-6789", "hello", "x9", "\n", "-", "é", "@"]), max_size=12))
def test_redaction_leaves_no_secret_and_everything_else(parts: list[str]) -> None:
    text = " ".join(parts)
    redacted = Searched(text, find(text, ENTITIES, 0.5)).redacted(PiiConfig(action="redact"))
    assert not any(secret in redacted for secret in (CARD, MAIL, TOKEN, "123-45-6789"))
    assert find(redacted, ENTITIES, 0.5) == []
    assert redacted.count("[CREDIT_CARD]") == parts.count(CARD)
    assert redacted.count("hello") == parts.count("hello")


@settings(max_examples=200)
@given(st.text(max_size=200))
def test_findings_are_in_order_and_apart(text: str) -> None:
    spans = [(one.start, one.end) for one in find(text, ENTITIES, 0)]
    assert all(start < end <= len(text) for start, end in spans)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


@pytest.mark.parametrize(
    "unit",
    ["1 ", "a@", "a.", "eyJ", "eyJabcdefgh.", "-----BEGIN PRIVATE KEY-----", "+1 ", "a:", "key ", "DE89 ", "sk-"],
)
def test_time_is_linear_in_the_text(unit: str) -> None:
    """Sixteen times the text takes about sixteen times as long; squared, it would be 256 times."""

    def seconds(chars: int) -> float:
        text = unit * (chars // len(unit))
        took = []
        for _ in range(3):
            start = time.process_time()
            find(text, ENTITIES, 0)
            took.append(time.process_time() - start)
        return min(took)

    assert seconds(64_000) < 80 * max(seconds(4_000), 0.001)


async def test_block_says_what_but_never_the_secret() -> None:
    async with opened(Pii) as asked:
        assert await asked.shield("Nothing personal here.") is None
        violation = await asked.shield(f"My card is {CARD}, my mail {MAIL}", f"and the key {TOKEN}")
    assert violation is not None
    assert violation.violation_level == ViolationLevel.ERROR
    assert violation.metadata["counts"] == {"API_KEY": 1, "CREDIT_CARD": 1, "EMAIL": 1}
    said = violation.model_dump_json()
    assert not any(secret in said for secret in (CARD, MAIL, TOKEN))


async def test_redaction_gives_the_text_with_placeholders() -> None:
    async with opened(Pii, action="redact", actions={"IP_ADDRESS": "warn"}, allow=["Support@Example.com"]) as asked:
        violation = await asked.shield(f"Mail {MAIL} or support@example.com from 203.0.113.9", "Thanks")
        assert await asked.shield("support@example.com") is None
    assert violation is not None
    assert violation.violation_level == ViolationLevel.WARN
    first = "Mail [EMAIL] or support@example.com from 203.0.113.9"
    assert violation.metadata["redacted_texts"] == [first, "Thanks"]
    assert violation.metadata["redacted"] == f"{first}\nThanks"


async def test_one_entity_that_blocks_blocks_and_nothing_is_redacted() -> None:
    async with opened(Pii, action="redact", actions={"API_KEY": "block"}) as asked:
        violation = await asked.shield(f"{MAIL} {TOKEN}")
    assert violation is not None
    assert violation.violation_level == ViolationLevel.ERROR
    assert "redacted" not in violation.metadata
    assert violation.metadata["categories"] == ["API_KEY", "EMAIL"]


async def test_a_shield_s_params_take_the_place_of_the_provider_s() -> None:
    async with opened(Pii) as asked:
        await asked.impl.register_shield(shield("mails", entities=["EMAIL"], action="warn"))
        assert await asked.shield(CARD, shield_id="mails") is None
        violation = await asked.shield(MAIL, shield_id="mails")
        assert violation is not None
        assert violation.violation_level == ViolationLevel.WARN
        with pytest.raises(InvalidRequest, match="EMAILS"):
            await asked.impl.register_shield(shield("wrong", entities=["EMAILS"]))


async def test_moderation_has_a_category_for_each_entity() -> None:
    async with opened(Pii) as asked:
        mail, nothing = await asked.moderate([MAIL, "nothing"])
    assert mail.flagged
    assert mail.categories["pii/email"]
    assert mail.category_scores["pii/email"] == 1.0
    assert not mail.categories["pii/credit-card"]
    assert not mail.categories["violence"]
    assert not nothing.flagged
    assert MAIL not in mail.model_dump_json()


def test_entropy() -> None:
    assert entropy("aaaa") == 0
    assert entropy("abcd") == 2
    assert entropy("ab" * 10) == pytest.approx(1)
