"""The scripts of docs/cluster.md do what the page says, with stand-ins for Slurm and for the commands."""

import os
import re
import subprocess
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
SWEEP, NODES, CPUS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
#: Does what srun does: starts the command once for each task and gives each its own variables.
SRUN = """#!/bin/bash
while [[ "$1" == --* ]]; do echo "srun $1" >> "$LOG"; shift; done
status=0
for task in $(seq 0 $((SLURM_NTASKS - 1))); do
    SLURM_PROCID=$task SLURM_LOCALID=$task SLURM_NODEID=$task "$@" || status=$?
done
exit $status
"""
COMMAND = """#!/bin/bash
echo "$(basename "$0") $* | RANK=$RANK WORLD_SIZE=$WORLD_SIZE MASTER_ADDR=$MASTER_ADDR" >> "$LOG"
if [ "$(basename "$0")" == scontrol ]; then echo node7; echo node8; exit 0; fi
exit "$STATUS"
"""


@pytest.fixture
def slurm(tmp_path: Path):
    """Run a script of the page as a job; return its exit status and the commands that it started."""
    (tmp_path / "bin").mkdir()
    for name, text in {"srun": SRUN, **dict.fromkeys(("dialogue-ser", "accelerate", "scontrol"), COMMAND)}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)

    def run(script: str, *, status: int = 0, **variables: object) -> tuple[int, list[str]]:
        log = tmp_path / "log"
        log.unlink(missing_ok=True)
        names = {"SLURM_NTASKS": 2, "SLURM_CPUS_PER_TASK": 8, "SLURM_JOB_ID": 41, "SLURM_JOB_NODELIST": "node[7-8]",
                 "RUNS": tmp_path / "runs", "LOG": log, "STATUS": status, **variables}  # fmt: skip
        environment = {key: str(one) for key, one in names.items()}
        environment["PATH"] = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.returncode, log.read_text().splitlines()

    return run


def test_each_task_of_the_array_is_a_worker_of_one_sweep_and_a_stopped_one_comes_again(slurm, tmp_path):
    task = {"SLURM_NTASKS": 1, "SLURM_ARRAY_JOB_ID": 40, "SLURM_ARRAY_TASK_ID": 3}
    storage = f"--storage {tmp_path / 'runs' / 'sweep.journal'}"
    status, said = slurm(SWEEP, **task)
    assert (status, len(said)) == (0, 1)
    assert said[0].startswith("dialogue-ser sweep run sweep.yaml --out ")
    assert storage in said[0]
    status, said = slurm(SWEEP, status=143, **task)
    assert (status, said[1].split(" | ")[0]) == (143, "scontrol requeue 40_3")
    assert "--array=0-7" in SWEEP
    assert len(slurm(SWEEP, status=2, **task)[1]) == 1, "a mistake in the file is not tried again"


def test_tasks_of_srun_are_the_processes_of_one_training(slurm):
    status, said = slurm(CPUS)
    trained = [line for line in said if line.startswith("dialogue-ser train")]
    assert (status, len(trained)) == (0, 2)
    for rank, line in enumerate(trained):
        assert line.endswith(f"| RANK={rank} WORLD_SIZE=2 MASTER_ADDR=node7")
        assert "--preset meld-text" in line
    assert "srun --kill-on-bad-exit=1" in said


@pytest.mark.parametrize(("script", "command"), [(NODES, "accelerate"), (CPUS, "dialogue-ser")])
def test_a_job_that_comes_again_resumes_its_run(slurm, tmp_path, script, command):
    run = tmp_path / "runs" / "meld-text"
    status, said = slurm(script, status=1, SLURM_NNODES=2)
    assert (status, said[-1].split(" | ")[0]) == (1, "scontrol requeue 41")
    run.mkdir(parents=True)
    (run / "config.yaml").touch()
    status, said = slurm(script, SLURM_NNODES=2, SLURM_RESTART_COUNT=1)
    assert status == 0
    started = [line for line in said if line.startswith(command)]
    assert [f"train --resume {run} |" in line for line in started] == [True, True]
    status, said = slurm(script, status=1, SLURM_NNODES=2, SLURM_RESTART_COUNT=5)
    assert (status, any("requeue" in line for line in said)) == (1, False)


def test_each_node_starts_one_launcher_that_knows_its_number_and_the_first_node(slurm):
    _, said = slurm(NODES, SLURM_NNODES=2)
    started = [line for line in said if line.startswith("accelerate launch --multi_gpu")]
    assert len(started) == 2
    for number, line in enumerate(started):
        assert f"--num_machines 2 --machine_rank {number} --num_processes 8 --main_process_ip node7" in line


def test_the_flags_of_accelerate_exist():
    from accelerate.commands.launch import launch_command_parser

    flags = re.findall(r"(--[a-z_]+)", NODES.split("accelerate launch")[1].split("-m ")[0])
    assert set(flags) <= set(launch_command_parser()._option_string_actions)
