import json
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml

from dialogue_ser.cli.run_arguments import TrainRequest
from dialogue_ser.cli.sweep_run import end_by_signal, in_sweep
from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.run_config import RunConfig, WandbConfig

TINY = Path(__file__).parents[1] / "training"
AGENT = {"WANDB_SWEEP_ID": "k3f9a2xq", "WANDB_RUN_ID": "r1"}


def test_outside_a_sweep_nothing_changes():
    request = TrainRequest(config=RunConfig())
    assert in_sweep(request, [], {"WANDB_MODE": "online", "WANDB_RUN_ID": "r1"}) is request


@pytest.mark.parametrize(
    ("mode", "tokens", "expected"),
    [
        (None, [], "online"),
        ("", [], "online"),
        ("offline", [], "offline"),
        ("dryrun", [], "offline"),
        ("disabled", [], "disabled"),
        ("offline", ["--wandb.mode=disabled"], "disabled"),
        ("offline", ["--wandb.mode", "disabled"], "disabled"),
    ],
)
def test_in_a_sweep_the_mode_is_that_of_the_variable_unless_a_flag_says_another(mode, tokens, expected):
    environment = AGENT | ({} if mode is None else {"WANDB_MODE": mode})
    request = TrainRequest(config=RunConfig(wandb=WandbConfig()))
    assert in_sweep(request, tokens, environment).config.wandb.mode == expected


def test_in_a_sweep_each_run_has_a_folder_of_its_own_and_one_that_has_begun_is_continued(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    request = TrainRequest(config=RunConfig())
    found = in_sweep(request, [], AGENT)
    assert (found.out, found.resume) == (Path("runs/k3f9a2xq/r1"), False)
    found.out.mkdir(parents=True)
    (found.out / "config.yaml").touch()
    assert in_sweep(request, [], AGENT).resume is True
    own = in_sweep(TrainRequest(config=RunConfig(), out=Path("mine")), [], AGENT)
    assert (own.out, own.resume) == (Path("mine"), False)


def test_only_under_an_agent_a_stopped_run_ends_by_its_signal(monkeypatch):
    sent = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    handler = signal.getsignal(signal.SIGTERM)
    end_by_signal(signal.SIGTERM, {})
    assert sent == []
    end_by_signal(signal.SIGTERM, AGENT)
    assert sent == [(os.getpid(), signal.SIGTERM)]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    signal.signal(signal.SIGTERM, handler)


def test_variables_that_lead_out_of_the_folder_of_runs_are_refused_all_at_once():
    environment = {"WANDB_SWEEP_ID": "../..", "WANDB_RUN_ID": "a/b", "WANDB_MODE": "of"}
    with pytest.raises(ConfigError) as caught:
        in_sweep(TrainRequest(config=RunConfig()), [], environment)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_MODE",
    ]  # fmt: skip


TRAINED = {
    "training": {"epochs": 100_000, "patience": 0, "batch_size": 4, "callbacks": ["tiny:Rest"]},
    "optimizer": {"learning_rate": 1e-05},
    "model.options.dropout": 0.25,
    "name": 'two words, it\'s "quoted"',
}
MOST_SECONDS = 240.0


class FakeService:
    """Answers an agent: first a run, then a stop when its first epoch is done, then a run that fails, then the end."""

    def __init__(self, sweep: dict, folder: Path) -> None:
        self.sweep, self.folder = sweep, folder
        self.first = folder / "runs" / "k3f9a2xq" / "r1"
        self.state = "begin"
        self.begun = time.monotonic()
        self.stopped_at = self.ended_at = 0.0
        self.mirror: list[psutil.Process] = []

    def execute_graphql(self, query: str, variables: dict | None = None, **options: object) -> dict:
        if "createAgent" in query:
            return {"createAgent": {"agent": {"id": "agent"}}}
        if "agentHeartbeat" in query:
            commands = self._commands(json.loads(variables["runState"]))
            return {"agentHeartbeat": {"commands": json.dumps(commands)}}
        return {"project": {"sweep": {"config": yaml.safe_dump(self.sweep), "runs": {"edges": []}}}}

    def _commands(self, running: dict) -> list[dict]:
        if self.state == "begin":
            self.state = "running"
            return [self._run("r1", TRAINED)]
        if self.state == "running" and "r1" not in running:
            self.state = "the first run has ended by itself"
        if self.state == "running" and self._has_checkpoint() and (self.first / "wandb_id.txt").exists():
            self.state, self.stopped_at = "stopping", time.monotonic()
            (trainer,) = (one for one in psutil.Process().children() if "dialogue_ser.cli.main" in one.cmdline())
            self.mirror = trainer.children(recursive=True)
            return [{"type": "stop", "run_id": "r1"}]
        if self.state == "stopping" and "r1" not in running:
            self.state, self.ended_at = "failing", time.monotonic()
            return [self._run("r2", {"preset": "nosuch"})]
        if self.state == "failing" and "r2" not in running:
            self.state = "over"
        if time.monotonic() - self.begun > MOST_SECONDS:
            self.state = f"too slow: {self.state}"
        return [] if self.state in ("running", "stopping", "failing") else [{"type": "exit"}]

    def _has_checkpoint(self) -> bool:
        return any((self.first / "checkpoints").glob("*/manifest.json"))

    @staticmethod
    def _run(name: str, parameters: dict) -> dict:
        values = {key: {"value": value} for key, value in parameters.items()}
        return {"type": "run", "run_id": name, "program": "none", "args": values}


@pytest.fixture
def agent(tmp_path, tiny_file, monkeypatch):
    """W&B's own agent with a made-up service; its trainers are real."""
    import wandb
    from wandb import wandb_agent

    work = tmp_path / "work"
    work.mkdir()
    command = ["${env}", "python", "-m", "dialogue_ser.cli.main", "train", "--config", str(tiny_file), "--trust_code"]
    service = FakeService({"method": "grid", "command": [*command, "${args}"]}, work)
    api = SimpleNamespace(_service_api=service, settings={"entity": "e", "project": "p"})
    monkeypatch.chdir(work)
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    paths = [str(Path(__file__).parents[2]), str(TINY)]
    for name, value in {
        "WANDB_MODE": "offline", "WANDB_DIR": str(work), "WANDB_SWEEP_ID": "k3f9a2xq", "WANDB_PROJECT": "of-the-sweep",
        "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(wandb, "Api", lambda *args, **options: api)
    monkeypatch.setattr(wandb, "teardown", lambda *args: None)
    monkeypatch.setattr(wandb_agent.Agent, "POLL_INTERVAL", 0.1)
    monkeypatch.setattr(wandb_agent.util, "read_many_from_queue", lambda *args: time.sleep(0.1) or [])
    handler = signal.getsignal(signal.SIGTERM)
    yield wandb_agent.Agent(api, None, sweep_id="k3f9a2xq"), service
    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH"):
        os.environ.pop(name, None)
    assert signal.getsignal(signal.SIGTERM) is handler


def test_w_and_bs_own_agent_runs_stops_and_counts_failures(agent):
    agent, service = agent
    agent.run()
    assert service.state == "over"
    assert service.ended_at - service.stopped_at < 30
    assert len(service.mirror) >= 2  # the mirror and W&B's service
    assert not [one for one in service.mirror if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    config = yaml.safe_load((service.first / "config.yaml").read_text())
    assert config["optimizer"]["learning_rate"] == 1e-05
    assert config["wandb"]["mode"] == "offline"
    assert config["name"] == TRAINED["name"]
    assert any((service.first / "checkpoints").glob("*/manifest.json"))
    from dialogue_ser.training.record.mirror.offline_file import records

    (file,) = (service.first / "wandb").glob("offline-run-*/*.wandb")
    found = list(records(file))
    (start,) = (record.run for record in found if record.WhichOneof("record_type") == "run")
    assert (start.run_id, start.sweep_id, start.project) == ("r1", "k3f9a2xq", "of-the-sweep")
    sent = {item.key: json.loads(item.value_json) for item in start.config.update}
    assert sent["optimizer"] == TRAINED["optimizer"]
    assert sent["optimizer.schedule"] == "cosine"
    (end,) = (record.exit for record in found if record.WhichOneof("record_type") == "exit")
    assert end.exit_code == 143
    epochs = [record for record in found if any("dev/weighted_f1" in item.nested_key for item in record.history.item)]
    assert epochs
    assert agent._failed == 1  # the unknown preset; a run that the agent has stopped is no failure
    assert not (Path("runs") / "k3f9a2xq" / "r2").exists()
