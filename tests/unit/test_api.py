"""The public API: its names, and that they are the verbs of the command line with their records and errors."""

import dataclasses
import inspect
import subprocess
import sys
import typing
from typing import Any

import pytest

import dlbackup
from dlbackup import errors

VERBS = (
    "attach",
    "backups",
    "cat",
    "check",
    "dump",
    "info",
    "migrate",
    "pin",
    "plan",
    "prune",
    "release",
    "restore",
    "unbar",
    "verify",
)


def test_the_public_names() -> None:
    """These names are promised to users; one more or less is a decision."""
    assert {
        *VERBS,
        "Attached",
        "Backup",
        "DlbackupError",
        "Info",
        "Migration",
        "Restored",
        "TableRows",
        "Verification",
    } <= set(dlbackup.__all__)
    assert len(dlbackup.__all__) == len(set(dlbackup.__all__))
    for name in dlbackup.__all__:
        assert getattr(dlbackup, name).__module__.startswith("dlbackup.")


def test_every_error_is_public() -> None:
    """Whatever is raised can be caught by its name in `dlbackup`, and is the same there as in `dlbackup.errors`."""
    for error in all_errors():
        assert error.__name__ in dlbackup.__all__
        assert getattr(dlbackup, error.__name__) is error


def records_in(kind: Any) -> set[type]:
    """Return the records that an annotation speaks of, in whatever they are."""
    options = kind if isinstance(kind, list) else typing.get_args(kind)  # a list: the parameters of a Callable
    inner = [record for option in options for record in records_in(option)]
    return {*inner, *([kind] if dataclasses.is_dataclass(kind) and isinstance(kind, type) else [])}


def test_every_record_that_is_given_is_public() -> None:
    """Records in fields, parameters and results of what is public are public too: annotations can name them."""
    spoken_of = set()
    for name in set(dlbackup.__all__) - {error.__name__ for error in all_errors()}:
        value = getattr(dlbackup, name)
        hints = typing.get_type_hints(value, localns={"AttachOption": str, "DuckDBPyConnection": object})
        if dataclasses.is_dataclass(value):
            hints = {field.name: hints[field.name] for field in dataclasses.fields(value) if field.repr}
        spoken_of |= {record for hint in hints.values() for record in records_in(hint)}

    assert {record.__name__ for record in spoken_of} - set(dlbackup.__all__) == set()
    assert {"Client", "Event", "Finding", "Stage"} <= {record.__name__ for record in spoken_of}


def test_the_api_defines_nothing() -> None:
    """The package's own file only gathers names."""
    for name in dlbackup.__all__:
        getattr(dlbackup, name)  # imports it
    public = {
        name for name, value in vars(dlbackup).items() if not name.startswith("_") and not inspect.ismodule(value)
    }

    assert public == set(dlbackup.__all__)


def test_a_verb_is_not_hidden_by_its_module() -> None:
    """Whoever imports the module of a verb first still finds the verb, and unused modules are not imported."""
    program = (
        "import sys, dlbackup; assert {name for name in sys.modules if name.startswith('dlbackup')} =="
        " {'dlbackup', 'dlbackup.errors'}; import dlbackup.verbs.dump; assert callable(dlbackup.dump);"
        " assert 'dlbackup.verbs.attach' not in sys.modules; from dlbackup import verify; assert callable(verify);"
        " assert set(dlbackup.__all__) <= set(dir(dlbackup))"
    )

    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_public_name_says_what_it_is() -> None:
    """Each public name has a docstring, and each verb's first line is an imperative sentence."""
    for name in dlbackup.__all__:
        assert getattr(dlbackup, name).__doc__
    for verb in VERBS:
        first = inspect.getdoc(getattr(dlbackup, verb))
        assert first is not None
        assert first.splitlines()[0].endswith(".")


@pytest.mark.parametrize("verb", VERBS)
def test_options_are_keywords(verb: str) -> None:
    """All but what a verb is about, and one record of options, is given by keyword."""
    parameters = inspect.signature(getattr(dlbackup, verb)).parameters.values()
    positional = [parameter for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]

    assert len(positional) <= 3
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters if p.name in ("on_event", "metadata_schema", "level"))


def test_records_are_frozen() -> None:
    """What the verbs give back can't be changed."""
    for name in (
        "Attached",
        "Backup",
        "Info",
        "Inventory",
        "Migration",
        "Pinned",
        "Policy",
        "Pruned",
        "Restored",
        "Verification",
        "MigrateOptions",
        "RestoreOptions",
    ):
        record: Any = getattr(dlbackup, name)
        assert record.__dataclass_params__.frozen


KEYS = {
    "Attached": "alias schema spec_version created migration",
    "Backup": "path format spec_version snapshot_id tables rows raw_bytes file_bytes sha256 seconds",
    "Verification": "path ok spec_version snapshot_id tables rows row_shapes findings seconds",
    "Restored": "spec_version snapshot_id tables rows replaced seconds",
    "Migration": "outcome from_version to_version snapshot_id backup stages mends writer_pause_seconds stale_clients",
    "Info": "kind spec_version snapshot_id tables rows",
    "Inventory": "store backups cleanup_safe_before",
    "ListedBackup": "name catalog created spec_version snapshot_id rows file_bytes encrypted state proven_at files"
    " at_risk_until pins kept_because",
    "Pruned": "executed keep remove cleanup_safe_before",
    "Decision": "name reasons",
}


@pytest.mark.parametrize(("name", "keys"), KEYS.items())
def test_records_hold_the_stable_keys(name: str, keys: str) -> None:
    """The keys that JSON results promise are fields of the records behind them."""
    assert set(keys.split()) <= {field.name for field in dataclasses.fields(getattr(dlbackup, name))}


def all_errors(base: type[errors.DlbackupError] = errors.DlbackupError) -> list[type[errors.DlbackupError]]:
    """Return the tree of errors.py; what other modules derive for their own use is none of it."""
    children = [child for child in base.__subclasses__() if child.__module__ == errors.__name__]
    return [base, *(error for child in children for error in all_errors(child))]


EXIT_CODES = {
    errors.UsageError: 2,
    errors.CatalogError: 1,
    errors.Unhealthy: 3,
    errors.BackupError: 3,
    errors.Refused: 4,
    errors.Unchanged: 5,
    errors.RolledBack: 6,
    errors.NeedsPerson: 7,
    errors.StorageError: 1,
    errors.EngineError: 1,
    errors.Interrupted: 130,
    errors.DeadlinePassed: 1,
}


@pytest.mark.parametrize(("error", "code"), EXIT_CODES.items())
def test_exit_codes_come_from_the_error_tree(error: type[errors.DlbackupError], code: int) -> None:
    """Each branch of the error tree has the exit code that the table of exit codes gives it."""
    for kind in all_errors(error):
        assert kind.exit_code == EXIT_CODES.get(kind, code)


def test_errors_carry_message_and_hint() -> None:
    """Every error has a message, a hint and a docstring, and is one of dlbackup's."""
    for kind in all_errors():
        error = kind("what failed", "what to do")
        assert (str(error), error.message, error.hint) == ("what failed", "what failed", "what to do")
        assert kind.__doc__
