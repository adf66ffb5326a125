import pytest

from dialogue_ser.training.config.run_config import (
    FeatureConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    TrainingConfig,
    WandbConfig,
)


@pytest.fixture
def full() -> RunConfig:
    """A configuration with other values than the defaults in most sections."""
    return RunConfig(
        name="full",
        features={"text": FeatureConfig(encoder="minilm", options={"layers": [1, 2], "k": None}, transforms=("l2",))},
        model=ModelConfig(options={"hidden": {"global": 3}}),
        optimizer=OptimizerConfig(schedule="inverse-time", decay=1e-6, l2={"branches.*.gru": 1e-4}),
        training=TrainingConfig(precision="no"),
        wandb=WandbConfig(tags=("a", "b"), group="g"),
    )
