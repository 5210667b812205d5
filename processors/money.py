"""Money as integer pico-USD (1e-12 USD) inside, `Decimal` at the borders.

Every real token price is a whole number of pico-USD per token, so sums are exact, do not depend on order
and survive replay. `Decimal` appears where a person reads or writes money; `float` only where an
OpenTelemetry instrument or attribute has no other number.
"""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Final

PICO_PER_USD: Final = 1_000_000_000_000
_PICO_DIGITS: Final = 12


def usd_to_pico(usd: Decimal | int | str) -> int:
    """Converts USD to pico-USD, half-even where USD has more than 12 decimals.

    Args:
        usd: A finite amount; `float` is refused on purpose, write `Decimal("0.1")` or `"0.1"`.

    Raises:
        ValueError: The amount is not a finite number.
        TypeError: The amount is a `float` or a `bool`.
    """
    if isinstance(usd, (bool, float)):
        raise TypeError(f"money must be Decimal, int or str, not {type(usd).__name__} {usd!r}")
    try:
        amount = Decimal(usd)
    except ArithmeticError as error:
        raise ValueError(f"{usd!r} is not an amount of money") from error
    if not amount.is_finite():
        raise ValueError(f"{usd!r} is not a finite amount of money")
    with localcontext() as context:
        context.prec = max(28, len(amount.as_tuple().digits) + abs(amount.adjusted()) + _PICO_DIGITS)
        return int(amount.scaleb(_PICO_DIGITS).to_integral_value(rounding=ROUND_HALF_EVEN))


def pico_to_usd(pico: int) -> Decimal:
    """Converts pico-USD to USD, exactly and without an exponent or trailing zeros."""
    sign = 1 if pico < 0 else 0
    digits = tuple(int(digit) for digit in str(abs(pico)))
    return plain(Decimal((sign, digits, -_PICO_DIGITS)))


def plain(amount: Decimal) -> Decimal:
    """Drops trailing zeros but keeps whole numbers free of exponents: 1.500 → 1.5, 1E+2 → 100."""
    with localcontext() as context:
        context.prec = max(28, len(amount.as_tuple().digits) + abs(amount.adjusted()) + _PICO_DIGITS)
        reduced = amount.normalize()
        exponent = reduced.as_tuple().exponent
        return reduced.quantize(Decimal(1)) if isinstance(exponent, int) and exponent > 0 else reduced


def pico_to_text(pico: int) -> str:
    """Writes pico-USD as an exact decimal string of USD: 4500000 → "0.0000045"."""
    sign = "-" if pico < 0 else ""
    whole, rest = divmod(abs(pico), PICO_PER_USD)
    if not rest:
        return f"{sign}{whole}"
    fraction = f"{rest:012d}".rstrip("0")
    return f"{sign}{whole}.{fraction}"


def pico_to_float(pico: int) -> float:
    """Converts pico-USD to the nearest `float` of USD, for OpenTelemetry instruments and attributes only."""
    return pico / PICO_PER_USD


def display_usd(pico: int) -> str:
    """Writes an amount for a person: cents above one dollar, four significant digits below it.

    Examples: 12.3 USD → "$12.30", 0.00012345 USD → "$0.0001234", 0 → "$0.00".
    """
    sign = "-" if pico < 0 else ""
    usd = pico_to_usd(abs(pico))
    if usd == 0 or usd >= 1:
        return f"{sign}${usd:,.2f}"
    rounded = usd.quantize(Decimal(1).scaleb(usd.adjusted() - 3), rounding=ROUND_HALF_EVEN)
    text = f"{plain(rounded):f}"
    return f"{sign}${text}" if len(text) > 3 else f"{sign}${usd:.2f}"
