import socket

import pytest

from benchmarks.wandb_faults.server import fake_server
from dialogue_ser.training.record.mirror.server import CLOUD, problem_of, server_of


def test_the_server_is_that_of_the_variable_then_of_the_users_settings_then_the_cloud(tmp_path):
    (tmp_path / "settings").write_text("[default]\nbase_url = http://own:8080/\n")
    assert server_of({"WANDB_CONFIG_DIR": str(tmp_path)}) == "http://own:8080"
    assert server_of({"WANDB_CONFIG_DIR": str(tmp_path), "WANDB_BASE_URL": "http://other"}) == "http://other"
    assert server_of({"WANDB_CONFIG_DIR": str(tmp_path / "none")}) == CLOUD
    (tmp_path / "settings").write_text("no settings")
    assert server_of({"WANDB_CONFIG_DIR": str(tmp_path)}) == CLOUD


def test_a_settings_file_in_the_working_folder_does_not_count(tmp_path, monkeypatch):
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "settings").write_text("[default]\nbase_url = http://evil\n")
    monkeypatch.chdir(tmp_path)
    assert server_of({"WANDB_CONFIG_DIR": str(tmp_path / "none")}) == CLOUD


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("live", ""),
        ("refusing", ""),
        ("error", "answers with the error 500"),
        ("silent", "did not answer within 0.3 s"),
    ],
)
def test_a_server_can_be_used_if_it_answers_even_with_a_refusal(kind, problem):
    with fake_server(kind) as server:
        found = problem_of(server.url, 0.3)
    assert found.endswith(problem)
    assert bool(found) == bool(problem)


def test_an_address_where_nobody_listens_and_one_that_is_none_are_problems():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "cannot be reached" in problem_of(f"http://127.0.0.1:{port}")
    assert problem_of("no address")
