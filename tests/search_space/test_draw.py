from dialogue_ser.search_space.draw import draw, share_of
from dialogue_ser.search_space.parameters import parameter_of, read_parameters

TEXT = {
    "lr": {"min": 0.0, "max": 1.0},
    "optimizer": {"parameters": {"lr": {"min": 0.0, "max": 1.0}, "name": {"values": ["adam", "sgd"]}}},
    "fixed": {"value": None},
}


def parameters(text: dict) -> dict:
    problems: list = []
    found = read_parameters(text, (), lambda *problem: problems.append(problem))
    assert problems == []
    return found


def test_a_draw_has_a_value_for_every_parameter_and_dicts_for_nested_ones():
    found = draw(parameters(TEXT), seed=1, trial=4)
    assert set(found) == set(TEXT)
    assert set(found["optimizer"]) == {"lr", "name"}
    assert found["fixed"] is None
    assert 0 <= found["lr"] < 1


def test_a_draw_depends_on_seed_trial_and_name_only():
    usual = draw(parameters(TEXT), 1, 4)
    backwards = {name: TEXT[name] for name in reversed(TEXT)}
    assert draw(parameters(backwards), 1, 4) == usual
    assert draw(parameters({"lr": TEXT["lr"]}), 1, 4)["lr"] == usual["lr"]
    others = [draw(parameters(TEXT), seed, trial)["lr"] for seed, trial in ((2, 4), (1, 5))]
    assert len({usual["lr"], usual["optimizer"]["lr"], *others}) == 4


def test_a_nested_name_is_its_path_with_dots():
    dotted = draw(parameters({"optimizer.lr": {"min": 0.0, "max": 1.0}}), 3, 2)
    assert dotted["optimizer.lr"] == draw(parameters(TEXT), 3, 2)["optimizer"]["lr"] == share_of("optimizer.lr", 3, 2)


def test_the_values_of_a_seed_never_change():  # sweeps and suites that are half done must continue with the same values
    parameter = parameter_of({"distribution": "log_uniform_values", "min": 2e-4, "max": 3e-3})
    assert draw({"optimizer.learning_rate": parameter}, 1, 1) == {"optimizer.learning_rate": 0.0009743057538473397}
    assert draw({"optimizer.learning_rate": parameter}, 1, 8) == {"optimizer.learning_rate": 0.0015767758180986258}
