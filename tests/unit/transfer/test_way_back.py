"""A command that is printed means the same once a shell and the command line have taken it apart."""

import subprocess

import pytest

from dlbackup.addresses.address import parse_address
from dlbackup.cli.options import command_line
from dlbackup.transfer.way_back import restoring

SECRET = "s3cr3t"
_ODD = ("plain", "it's", 'a "b" c', "$HOME `id` !!", "back\\slash", "-x", "--replace", "ü 表", "a;b|c&d", "*")


def _taken_apart(command: str) -> list[str]:
    done = subprocess.run(
        ["sh", "-c", f"set -- {command}; printf '%s\\0' \"$@\""], capture_output=True, text=True, timeout=20, check=True
    )
    return done.stdout.split("\0")[:-1]


@pytest.mark.parametrize("odd", _ODD)
def test_odd_names_mean_the_same(odd: str) -> None:
    """Backup, every value of an address, and schema come out of shell and parser as they were."""
    address = parse_address("postgres:" + f"dbname=x host=h sslmode=require password={SECRET}")
    address.parameters["application_name"] = odd

    words = _taken_apart(restoring(f"/backups/{odd}/b.zst", address, odd, ["--discard-newer"]))
    options = command_line().parse_args(words[1:])

    assert words[:2] == ["dlbackup", "restore"]
    assert options.backup == f"/backups/{odd}/b.zst"
    assert options.metadata_schema == odd
    assert (options.replace, options.discard_newer, options.terminate_clients) == (True, True, False)
    kept = {key: value for key, value in address.parameters.items() if key != "password"}
    assert parse_address(options.address).parameters == kept


@pytest.mark.parametrize(
    "address",
    [
        f"postgres:dbname=x password={SECRET}",
        f"postgresql://u:{SECRET}@h:5433/x?sslmode=require&sslpassword={SECRET}",
        f"postgres:dbname=x passfile=/{SECRET}",
        f"postgres:dbname='postgresql://u:{SECRET}@h/x'",
        f"postgres:dbname=x application_name='password={SECRET}'",
    ],
)
def test_no_secret_is_in_a_command(address: str) -> None:
    """Whatever is secret of an address, or looks like it, is left out."""
    assert SECRET not in restoring("b.zst", parse_address(address), "public")


def test_a_relative_backup_is_found_from_everywhere() -> None:
    """A command may be pasted in another folder; standard input has none."""
    address = parse_address("postgres:dbname=x")

    assert restoring("b.zst", address, "s").split()[2].startswith("/")
    assert restoring("-", address, "s").split()[2] == "-"
