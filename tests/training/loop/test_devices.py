import os

import pytest
import torch

from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.run_config import TrainingConfig
from dialogue_ser.training.loop.devices import (
    _refuse_a_lone_process,
    is_main_process,
    make_accelerator,
    sum_over_ranks,
)


def test_runs_of_one_process_may_have_different_precisions():
    for precision in ("bf16", "no", "bf16"):
        accelerator = make_accelerator(TrainingConfig(device="cpu", precision=precision))
        assert accelerator.mixed_precision == precision
        with accelerator.autocast():
            product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert product.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="torch sees no GPU"):
        make_accelerator(TrainingConfig(device="cuda"))
    with pytest.raises(ConfigError, match="'fp16' needs a GPU"):
        make_accelerator(TrainingConfig(precision="fp16"))


def test_threads_are_set_and_left_alone_at_zero():
    before = torch.get_num_threads()
    try:
        make_accelerator(TrainingConfig(device="cpu", threads=2))
        assert torch.get_num_threads() == 2
        make_accelerator(TrainingConfig(device="cpu"))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_sum_over_one_process_is_a_copy():
    accelerator = make_accelerator(TrainingConfig(device="cpu"))
    value = torch.ones(2)
    total = sum_over_ranks(accelerator, value)
    total += 1
    assert value.tolist() == [1.0, 1.0]


def test_a_single_process_is_the_main_one():
    make_accelerator(TrainingConfig(device="cpu"))
    assert is_main_process()


def test_accelerate_that_starts_one_process_instead_of_several_is_refused(monkeypatch):
    # `accelerate launch --cpu --num_processes 2` sets the address of the other processes and starts none.
    for name in ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    make_accelerator(TrainingConfig(device="cpu"))
    monkeypatch.setenv("MASTER_PORT", "29500")
    with pytest.raises(ConfigError, match="use torchrun --nproc_per_node N, or --num_processes 1"):
        make_accelerator(TrainingConfig(device="cpu"))
    monkeypatch.setenv("WORLD_SIZE", "1")
    _refuse_a_lone_process(os.environ)


def test_with_one_process_an_error_of_an_exchange_keeps_its_own_words(monkeypatch):
    accelerator = make_accelerator(TrainingConfig(device="cpu"))

    def fail(*arguments: object, **settings: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(accelerator, "reduce", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        sum_over_ranks(accelerator, torch.ones(2))
