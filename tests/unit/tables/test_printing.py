"""How PostgreSQL prints values that DuckDB prints otherwise; a test of `restore` holds the same against servers."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbackup.tables.printing import double, interval, numeric, real


@pytest.mark.parametrize(
    ("by_duckdb", "by_postgres"),
    [
        ("0.0", "0"),
        ("-0.0", "-0"),
        ("100000.0", "100000"),
        ("123456789012345.0", "123456789012345"),
        ("1000000000000000.0", "1e+15"),
        ("0.0001", "0.0001"),
        ("1e-05", "1e-05"),
        ("5e-324", "5e-324"),
        ("1.7976931348623157e+308", "1.7976931348623157e+308"),
        ("2.2250738585072014e-308", "2.2250738585072014e-308"),
        ("1e+23", "9.999999999999999e+22"),  # as near to another number, so one digit more
        ("0.1", "0.1"),
        ("nan", "NaN"),
        ("inf", "Infinity"),
        ("-inf", "-Infinity"),
    ],
)
def test_doubles(by_duckdb: str, by_postgres: str) -> None:
    """Texts as servers of 14 to 18 gave them."""
    assert double(by_duckdb) == by_postgres


@pytest.mark.parametrize(
    ("by_duckdb", "by_postgres"),
    [
        ("-0.0", "-0"),
        ("123456.0", "123456"),
        ("1000000.0", "1e+06"),
        ("1e-45", "1e-45"),
        ("3.4028235e+38", "3.4028235e+38"),
        ("-4088026.25", "-4.0880262e+06"),  # DuckDB prints more digits than it takes
        ("2415484.75", "2.4154848e+06"),
        ("294707.625", "294707.62"),
        ("184788592.0", "1.8478859e+08"),
        ("1.1", "1.1"),
        ("nan", "NaN"),
    ],
)
def test_singles(by_duckdb: str, by_postgres: str) -> None:
    """Texts as servers of 14 to 18 gave them."""
    assert real(by_duckdb) == by_postgres


@given(st.floats())
def test_text_of_a_double_gives_it_back(value: float) -> None:
    """Whatever is printed is that number."""
    assert struct.pack("<d", float(double(repr(value)))) == struct.pack("<d", value) or value != value


@given(st.floats(width=32))
def test_text_of_a_single_gives_it_back(value: float) -> None:
    """Whatever is printed is that number."""
    assert struct.pack("<f", float(real(repr(value)))) == struct.pack("<f", value) or value != value


@pytest.mark.parametrize(
    ("by_duckdb", "by_postgres"),
    [
        ("00:00:00", "00:00:00"),
        ("1 year", "1 year"),
        ("1 year 2 months 3 days 00:35:05.678", "1 year 2 mons 3 days 00:35:05.678"),
        ("-1 month 2 days -00:00:00.000003", "-1 mons +2 days -00:00:00.000003"),
        ("-1 year -2 months", "-1 years -2 mons"),
        ("-1 day 01:00:00", "-1 days +01:00:00"),
        ("-1 year 1 day 00:00:01", "-1 years +1 day 00:00:01"),
        ("100:00:00", "100:00:00"),
    ],
)
def test_intervals(by_duckdb: str, by_postgres: str) -> None:
    """Texts as servers of 14 to 18 gave them, in the style `postgres`."""
    assert interval(by_duckdb) == by_postgres


@pytest.mark.parametrize(("by_duckdb", "by_postgres"), [(".125", "0.125"), ("-.5", "-0.5"), ("10.50", "10.50")])
def test_decimals(by_duckdb: str, by_postgres: str) -> None:
    """DuckDB leaves out the zero where a type has no digits before the point."""
    assert numeric(by_duckdb) == by_postgres
