"""What tests of tables share."""

from pathlib import Path

import pytest


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A table of two dialogues for train and one for dev, whose columns have names of their own."""
    path = tmp_path / "own.csv"
    path.write_text(
        """scene,who,said,feels,part
1,Ann,"Hello, you!",happy,train
1,Bob,NA,calm,train
2,Ann,Stop it.,angry,train
2,Cy,Why?,calm,train
3,Bob,Oh no.,angry,dev
"""
    )
    return path


@pytest.fixture
def mapping() -> dict[str, str]:
    """Role → column of that table."""
    return {"dialogue": "scene", "speaker": "who", "text": "said", "label": "feels", "split": "part"}
