import numpy as np

from dialogue_ser.metrics.calibration import calibration
from dialogue_ser.metrics.roc import roc_curves
from dialogue_ser.report.figures.class_figures import (
    class_bars,
    confusion_heat_map,
    fold_dots,
    reliability_diagram,
    roc_figure,
    training_curves,
)
from dialogue_ser.report.figures.theme import to_png

LABELS = ("neutral", "joy", "anger")


def _epoch(epoch: int, dev: float | None, train: float | None = None) -> dict:
    line = {"epoch": epoch, "train_loss": 1.0 / epoch, "dev_loss": 1.0}
    return (
        line
        | ({} if dev is None else {"dev": {"weighted_f1": dev}})
        | ({} if train is None else {"train": {"weighted_f1": train}})
    )


def test_curves_show_dev_and_train_and_mark_the_chosen_epoch() -> None:
    figure = training_curves([_epoch(1, 0.3, 0.2), _epoch(2, 0.5, 0.6), _epoch(3, 0.4, 0.7)], best_epoch=2)
    loss, score = figure.axes
    lines = {line.get_label(): list(line.get_ydata()) for line in score.lines if not line.get_label().startswith("_")}
    assert lines == {"train": [0.2, 0.6, 0.7], "dev": [0.3, 0.5, 0.4], "epoch 2: 0.500": [0.5]}
    assert any(line.get_marker() == "*" and list(line.get_xdata()) == [2] for line in score.lines)
    assert "epoch 2: 0.500" in [text.get_text() for text in score.get_legend().get_texts()]
    assert len(loss.get_legend().get_texts()) == 2


def test_auxiliary_losses_have_their_own_curves():
    epochs = [_epoch(1, 0.3) | {"auxiliary": {"sentiment": 0.9}}, _epoch(2, 0.5) | {"auxiliary": {"shift": 0.7}}]
    loss = training_curves(epochs, best_epoch=None).axes[0]
    lines = {line.get_label(): line for line in loss.lines}
    assert list(lines) == ["train", "dev", "train, sentiment", "train, shift"]
    np.testing.assert_array_equal(lines["train, sentiment"].get_ydata(), [0.9, np.nan])
    assert lines["train, shift"].get_linestyle() == ":"


def test_curves_without_train_scores_or_best_epoch_are_drawn() -> None:
    assert to_png(training_curves([_epoch(1, None)], best_epoch=None)).startswith(b"\x89PNG")


def test_the_confusion_matrix_is_coloured_by_row_and_holds_the_counts() -> None:
    figure = confusion_heat_map([[8, 2, 0], [0, 0, 0], [1, 0, 3]], LABELS)
    axes = figure.axes[0]
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), [[0.8, 0.2, 0], [0, 0, 0], [0.25, 0, 0.75]])
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["80%", "8", "20%", "2", "25%", "1", "75%", "3"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["neutral  (10)", "joy  (0)", "anger  (4)"]


def test_class_bars_are_as_long_as_f1() -> None:
    per_class = {label: {"f1": f1, "support": 5} for label, f1 in zip(LABELS, (0.5, 0.0, 0.75), strict=True)}
    axes = class_bars(per_class, {"joy": {"low": 0.0, "high": 0.2}}).axes[0]
    assert [bar.get_width() for container in axes.containers for bar in container] == [0.5, 0.0, 0.75]
    assert [list(line.get_xdata()) for line in axes.lines] == [[0.0, 0.2]]


def test_roc_curves_of_all_classes_share_one_picture_with_their_areas() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1]])
    curves = roc_curves(p, np.array([0, 0, 1, 1]), LABELS)
    figure = roc_figure(curves)
    (axes,) = figure.axes
    lines = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}
    assert list(lines) == ["chance 0.500", "neutral 0.750", "joy 0.750", "anger –"]
    assert lines["neutral 0.750"] == ([0, 0, 0.5, 0.5, 1], [0, 0.5, 0.5, 1, 1])
    assert lines["anger –"] == ([], [])
    assert axes.get_title(loc="left") == "One class against the rest, mean area 0.750"
    assert to_png(figure).startswith(b"\x89PNG")


def test_folds_are_dots_on_test_and_dev() -> None:
    folds = [{"name": "A", "uar": 0.4, "dev": {"uar": 0.5}}, {"name": "B", "uar": 0.6, "dev": {"uar": 0.7}}]
    figure = fold_dots(folds, "uar", over_all_folds=0.52, chance={"chance": 0.25})
    (axes,) = figure.axes
    dots = {dot.get_label(): dot.get_offsets().tolist() for dot in axes.collections}
    assert dots == {"dev (used to choose)": [[0.5, 0.0], [0.7, 1.0]], "test": [[0.4, 0.0], [0.6, 1.0]]}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["A", "B"]
    assert [line.get_label() for line in axes.lines] == ["chance 0.250", "over all folds 0.520"]


def test_the_reliability_diagram_draws_the_filled_bins() -> None:
    p = np.array([[0.7, 0.3], [0.4, 0.6], [0.9, 0.1], [0.2, 0.8]])
    values = calibration(p, np.array([0, 0, 0, 1]), n_bins=4).to_dict()
    upper, lower = reliability_diagram(values).axes
    assert [bar.get_height() for container in lower.containers for bar in container] == [2, 2]
    assert "ECE 0.150" in [text.get_text() for text in upper.texts]


def test_the_same_figure_gives_the_same_bytes() -> None:
    first, second = (to_png(confusion_heat_map([[1, 2], [0, 4]], LABELS[:2])) for _ in range(2))
    assert first == second
