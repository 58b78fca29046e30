"""Check digits of public numbers. Each function takes the number without spaces and says whether it can be one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

IBAN_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
    "XK": 20,
}  # fmt: skip
"""Characters of an IBAN, by country."""
_CARD_RANGES: Final = (
    (4, 4, (13, 16, 19)),  # Visa
    (51, 55, (16,)), (2221, 2720, (16,)),  # Mastercard
    (34, 34, (15,)), (37, 37, (15,)),  # American Express
    (6011, 6011, (16, 19)), (644, 649, (16, 19)), (65, 65, (16, 19)),  # Discover
    (3528, 3589, (16, 17, 18, 19)),  # JCB
    (300, 305, (14,)), (36, 36, (14,)), (38, 39, (14,)),  # Diners Club
    (62, 62, (16, 17, 18, 19)),  # UnionPay
    (50, 50, (12, 13, 14, 15, 16, 17, 18, 19)), (56, 58, (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
)  # fmt: skip
"""First and last prefix of an issuer, and how many digits its cards have."""
_VERHOEFF_PRODUCT: Final = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_ROTATION: Final = "1576283094"
_DNI_LETTERS: Final = "TRWAGMYFPDXBNJZSQVHLCKE"
_CODICE_ODD: Final = (
    1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
)  # fmt: skip
"""Of a letter (or a digit, as its index) at an odd place."""


def luhn(digits: str) -> bool:
    doubled = (int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def payment_card(digits: str) -> bool:
    issued = any(
        len(digits) in lengths and first <= int(digits[: len(str(first))]) <= last
        for first, last, lengths in _CARD_RANGES
    )
    return issued and luhn(digits)


def iban(letters: str) -> bool:
    letters = letters.upper()
    if IBAN_LENGTHS.get(letters[:2]) != len(letters):
        return False
    return int("".join(str(int(letter, 36)) for letter in letters[4:] + letters[:4])) % 97 == 1


def us_ssn(digits: str) -> bool:
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    issued = area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
    return issued and digits not in ("078051120", "219099999")  # printed in advertisements


def verhoeff(digits: str) -> bool:
    check = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit)
        for _ in range(index % 8):
            value = int(_VERHOEFF_ROTATION[value])
        check = int(_VERHOEFF_PRODUCT[check][value])
    return check == 0


def weighted(digits: str, weights: Sequence[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True))


def cpf(digits: str) -> bool:
    """Brazil: eleven digits, the last two of them check digits."""
    if len(set(digits)) == 1:
        return False
    return all(
        weighted(digits[:count], range(count + 1, 1, -1)) * 10 % 11 % 10 == int(digits[count]) for count in (9, 10)
    )


def dni(letters: str) -> bool:
    """Spain: DNI and NIE, whose first letter stands for a digit."""
    number = letters[:-1].upper().translate(str.maketrans("XYZ", "012"))
    return _DNI_LETTERS[int(number) % 23] == letters[-1].upper()


def nir(digits: str) -> bool:
    """France: thirteen digits and a key; Corsica's departments are letters."""
    number = digits.upper().replace("2A", "19", 1).replace("2B", "18", 1)
    return number.isdecimal() and int(number[:13]) % 97 + int(number[13:]) == 97


def codice_fiscale(letters: str) -> bool:
    letters = letters.upper()
    values = [int(letter) if letter.isdecimal() else ord(letter) - ord("A") for letter in letters[:15]]
    odd, even = sum(_CODICE_ODD[value] for value in values[::2]), sum(values[1::2])
    return chr(ord("A") + (odd + even) % 26) == letters[15]


def steuer_id(digits: str) -> bool:
    """Germany: ISO 7064 MOD 11,10; the first is not 0, and no digit but one is repeated."""
    product = 10
    for digit in digits[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    repeated = len(set(digits[:10])) in (8, 9)
    return digits[0] != "0" and repeated and (11 - product) % 10 == int(digits[10])


def bsn(digits: str) -> bool:
    """Netherlands."""
    return int(digits) > 0 and weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def pesel(digits: str) -> bool:
    """Poland."""
    return int(digits) > 0 and weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def nhs(digits: str) -> bool:
    """United Kingdom: the health service's number."""
    return int(digits) > 0 and (11 - weighted(digits[:9], range(10, 1, -1)) % 11) % 11 == int(digits[9])
