"""What a test run leaves for whoever asks later where its minutes went."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_durations_stand_beside_a_junit_file(tmp_path: Path) -> None:
    """With `--junit-xml` a run also writes how long each phase of each test took, longest first; it prints no more."""
    command = [sys.executable, "-m", "pytest", "tests/unit/test_errors.py", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--junit-xml", tmp_path / "new" / "tests.xml"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    lines = (tmp_path / "new" / "tests.durations.txt").read_text().splitlines()
    cases = list(ET.parse(tmp_path / "new" / "tests.xml").iter("testcase"))  # noqa: S314  # our own file

    assert done.returncode == 0, done.stdout
    assert "durations" not in done.stdout
    assert len(cases) > 3
    assert len(lines) == 3 * len(cases)
    found = [
        re.fullmatch(r"(\d+\.\d\d)s (setup|call|teardown) +tests/unit/test_errors\.py::test_.+", it) for it in lines
    ]
    times = [float(it[1]) for it in found if it is not None]
    assert len(times) == len(lines)
    assert times == sorted(times, reverse=True)
