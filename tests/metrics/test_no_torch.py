import subprocess
import sys

import pytest

ROOMS = (
    "dialogue_ser.metrics.intervals, dialogue_ser.runs.run_files, dialogue_ser.metrics.significance",
    "dialogue_ser.report.page, dialogue_ser.report.card, dialogue_ser.report.readme",
    "dialogue_ser.tasks, dialogue_ser.metrics.table, dialogue_ser.metrics.agreement",
    "dialogue_ser.evaluation.run, dialogue_ser.evaluation.compare, dialogue_ser.evaluation.selection",
)


@pytest.mark.parametrize("modules", ROOMS)
def test_metrics_report_and_evaluation_never_import_torch(modules: str) -> None:
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
