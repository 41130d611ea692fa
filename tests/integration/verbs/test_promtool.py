"""Prometheus' own tool judges the metrics and the alerts on them."""

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from support.cli import Cli
from support.debian import unpacked
from support.stores import add_backup

from dlbackup.stores.folder import Folder

_ALERTS = Path(__file__).parents[3] / "examples/prometheus-alerts.yml"


def test_promtool_takes_them(cli: Cli, tmp_path: Path) -> None:
    """It finds nothing to say of the metrics, and the alerts come when they are to come."""
    promtool = unpacked("prometheus-2.42", "prometheus") / "usr/bin/promtool"
    add_backup(Folder(tmp_path), datetime(2026, 11, 28, tzinfo=UTC))
    metrics = cli("metrics", tmp_path)
    assert metrics.exit_code == 0, metrics
    checked = subprocess.run([promtool, "check", "metrics"], input=metrics.output, capture_output=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")

    for file in (_ALERTS, Path(__file__).with_name("alerts.test.yml")):
        shutil.copy(file, tmp_path)
    for words in (("check", "rules", _ALERTS.name), ("test", "rules", "alerts.test.yml")):
        done = subprocess.run([promtool, *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
