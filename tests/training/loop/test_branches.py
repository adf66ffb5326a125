"""A late fusion starts from the weights of branches that were trained alone, if they fit."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.crossval.cross_validate import cross_validate
from dialogue_ser.inference.model_folder import read_model_folder
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.config.files import config_from_dict, load_config
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.prepare import load_data
from dialogue_ser.training.loop.setup import build_system
from dialogue_ser.training.run import train

FEATURES = {
    "text": {"encoder": "textcnn", "options": {"embedding_dim": 6, "n_filters": 4, "out_dim": 5, "word_dropout": 0.0}},
    "audio": {"encoder": "tiny:letters", "transforms": ["standardise"]},
}


def config_of(*modalities: str, model: str = "utterance", begin_from: dict[str, Path] | None = None) -> RunConfig:
    return config_from_dict(
        {
            "name": "-".join(modalities),
            "data": {"reader": "tiny:read_tiny"},
            "features": {name: FEATURES[name] for name in modalities},
            "model": {"name": model, "options": {"dropout": 0.0}},
            "optimizer": {"learning_rate": 0.02},
            "training": {
                "epochs": 2, "batch_size": 4, "device": "cpu",
                "begin_from": {name: str(place) for name, place in (begin_from or {}).items()},
            },
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def branches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Both modalities, trained alone."""
    folder = tmp_path_factory.mktemp("branches")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1]))
        patch.setenv("DIALOGUE_SER_CACHE", str(folder / "cache"))
        yield {name: train(config_of(name), folder / name).folder for name in FEATURES}


def test_each_branch_gives_the_same_as_alone(branches, tiny) -> None:
    config = config_of("text", "audio", model="late-fusion", begin_from=branches)
    data = load_data(config)
    fused = build_system(config, data).state_dict()
    for name, place in branches.items():
        alone = read_model_folder(place / "model").weights
        found = {key: value for key, value in fused.items() if name in key.split(".") and "weighings" not in key}
        assert len(found) == len(alone)
        for key, value in alone.items():
            torch.testing.assert_close(found[key.replace("head.", f"heads.{name}.")], value, rtol=0, atol=0)
    fresh = build_system(replace(config, training=replace(config.training, begin_from={})), data).state_dict()
    assert not torch.equal(fresh["heads.text.weight"], fused["heads.text.weight"])  # control


def test_a_hierarchical_bc_lstm_begins_from_two_trained_ones_and_learns_on(tiny, tmp_path) -> None:
    """As the paper trains it: every modality alone, then the second level over both."""
    small = {"context_dim": 3, "hidden_dim": 4, "n_layers": 1}
    alone = {name: with_options(once(config_of(name, model="bc-lstm")), small) for name in FEATURES}
    places = {name: train(config, tmp_path / name).folder for name, config in alone.items()}
    both = once(config_of("text", "audio", model="bc-lstm", begin_from=places))
    data = load_data(both)
    for weight in (0.0, 0.5):  # without and with the classifiers of the modalities
        both = with_options(both, {**small, "fusion": "hierarchical", "unimodal_weight": weight})
        begun = build_system(both, data).state_dict()
        taken = {
            key.replace("level.", f"branches.{name}.", 1) if key.startswith("level.") else key: value
            for name, place in places.items()
            for key, value in read_model_folder(place / "model").weights.items()
        }
        first_level = {key for key in begun if key.startswith(("branches.", "turns.encoders.", "turns.fusion.proj"))}
        assert {key for key in taken if key in begun} == first_level
        assert ("branches.text.head.3.weight" in first_level) == bool(weight)
        for key in first_level:
            torch.testing.assert_close(begun[key], taken[key], rtol=0, atol=0)
    run = train(both, tmp_path / "both")
    after = read_model_folder(run.folder / "model").weights
    assert all(not torch.equal(after[f"branches.{name}.lstm.weight_hh_l0"], begun[f"branches.{name}.lstm.weight_hh_l0"])
               for name in FEATURES)  # fmt: skip


def once(config: RunConfig) -> RunConfig:
    return replace(config, training=replace(config.training, epochs=1))


def with_options(config: RunConfig, options: dict[str, object]) -> RunConfig:
    return replace(config, model=replace(config.model, options={**config.model.options, **options}))


def test_one_branch_may_start_from_random_weights(branches, tiny) -> None:
    config = config_of("text", "audio", model="late-fusion", begin_from={"text": branches["text"]})
    fused = build_system(config, load_data(config)).state_dict()
    head = read_model_folder(branches["text"] / "model").weights["head.weight"]
    torch.testing.assert_close(fused["heads.text.weight"], head, rtol=0, atol=0)


def test_the_fusion_is_trained_further_and_its_model_no_longer_needs_the_branches(branches, tiny, tmp_path) -> None:
    run = train(config_of("text", "audio", model="late-fusion", begin_from=branches), tmp_path / "both")
    fresh = train(config_of("text", "audio", model="late-fusion"), tmp_path / "fresh")
    first, other = (RunFiles(one.folder).epochs[0]["train_loss"] for one in (run, fresh))
    assert first < other
    assert run.classifier(trust_code=True).predict_proba(load_data(run.config).dev).shape[1] == len(tiny.LABELS)


def test_in_a_cross_validation_every_fold_starts_from_the_branch_of_the_same_fold(tiny, tmp_path) -> None:
    cross_validate(config_of("text"), tmp_path / "text")
    fused = config_of("text", "audio", model="late-fusion", begin_from={"text": tmp_path / "text"})
    cross_validate(fused, tmp_path / "both")
    folds = sorted((tmp_path / "both" / "folds").iterdir())
    assert len(folds) == 3
    for fold in folds:
        assert load_config(fold / "config.yaml", trust_code=True).training.begin_from == {
            "text": str(tmp_path / "text" / "folds" / fold.name)
        }


def test_branches_that_do_not_fit_are_all_reported_and_nothing_is_written(branches, tiny, tmp_path) -> None:
    def refused(config: RunConfig) -> tuple[str, ...]:
        with pytest.raises(ConfigError) as error:
            train(config, tmp_path / "run")
        assert not (tmp_path / "run").exists()
        return error.value.problems

    both = config_of("text", "audio", model="late-fusion", begin_from={"text": branches["audio"], "audio": tmp_path})
    first, second = refused(both)
    assert "is utterance over audio, expected utterance over text alone" in first
    assert "no finished run" in second
    good = config_of("text", "audio", model="late-fusion", begin_from=branches)
    other_turns = replace(good, data=replace(good.data, options={"seed": 1}))
    assert all("was trained on other data" in problem for problem in refused(other_turns))
    text = replace(good.features["text"], options={**good.features["text"].options, "n_filters": 3})
    assert "other settings in features.text" in refused(replace(good, features={**good.features, "text": text}))[0]
    assert "model utterance has no branches" in refused(config_of("text", begin_from={"text": branches["text"]}))[0]
    options = {**good.model.options, "projection": {"text": 3}}
    wider = replace(good, model=replace(good.model, options=options))
    assert "do not fit" in refused(wider)[0]
    assert "no such modality" in refused(config_of("text", model="late-fusion", begin_from={"vido": tmp_path}))[0]
