"""Configurations as version 0.1.0 wrote them, before the section ``data.cut`` existed."""

import pytest

from dialogue_ser.corpus.cut import CutConfig
from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.files import config_from_dict, config_to_dict
from dialogue_ser.training.config.overrides import apply_overrides
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.config.upgrade import upgraded

FOLD = {
    "reader": "dialogue_ser.evaluation.folds:read_fold",
    "path": "corpora/nemo",
    "options": {
        "corpus": "nemo",
        "protocol": "stratified-70-20-10",
        "fold": "70-20-10",
        "options": {"subset": "x"},
        "seed": 2,
    },
    "train": "train",
}
WITHOUT_FOLD = {
    "reader": "dialogue_ser.evaluation.cross_fit:read_without_fold",
    "options": {
        "corpus": "meld",
        "train": "train",
        "dev": "dev",
        "fold": "fold-1",
        "n_folds": 3,
        "seed": 7,
        "options": {"splits": ["train", "dev"]},
    },
}
SMOKE = {"reader": "dialogue_ser.training.smoke:read_smoke", "options": {"view": "utterances"}}


def data_of(data, **others):
    return config_from_dict({"data": data, **others}).data


def test_a_protocol_moves_to_the_cut_with_its_seed():
    old = {"crossval": {"protocol": "session-5", "seed": 3, "estimator": "logistic"}}
    config = config_from_dict(old)
    assert config.data.cut == CutConfig(protocol="session-5", seed=3)
    assert config.crossval.estimator == "logistic"


def test_the_old_default_that_stood_in_every_run_cuts_nothing():
    assert config_from_dict({"crossval": {"protocol": "leave-one-speaker-out", "seed": 0}}) == RunConfig()


def test_a_fold_that_was_a_reader_is_that_reader_and_a_cut():
    data = data_of(FOLD, crossval={"protocol": "stratified-70-20-10", "seed": 2, "estimator": "none"})
    assert (data.reader, data.path, data.options) == ("nemo", "corpora/nemo", {"subset": "x"})
    assert data.cut == CutConfig(protocol="stratified-70-20-10", fold="70-20-10", seed=2)
    by_speaker = {**FOLD, "options": {"corpus": "nemo", "protocol": "leave-one-speaker-out", "fold": "EB0"}}
    assert data_of(by_speaker, crossval={"protocol": "leave-one-speaker-out"}).cut == CutConfig(
        protocol="leave-one-speaker-out", fold="EB0"
    )


def test_a_corpus_without_a_fold_is_cut_for_cross_fitting():
    data = data_of(WITHOUT_FOLD, crossval={"protocol": "leave-one-speaker-out", "seed": 0})
    assert (data.reader, data.options) == ("meld", {"splits": ["train", "dev"]})
    assert data.cut == CutConfig(protocol="cross-fit", fold="fold-1", seed=7, n_folds=3)


def test_a_smoke_run_is_of_the_sample_also_inside_a_fold():
    assert (data_of(SMOKE).reader, data_of(SMOKE).options, data_of(SMOKE).cut) == ("sample", {}, CutConfig())
    inside = {**FOLD, "options": {**FOLD["options"], "corpus": SMOKE["reader"], "options": SMOKE["options"]}}
    data = data_of(inside)
    assert (data.reader, data.options, data.cut.fold) == ("sample", {}, "70-20-10")


def test_settings_of_today_come_back_as_they_are():
    values = config_to_dict(RunConfig())
    assert upgraded(values) == values


def test_an_override_by_the_old_name_wins_over_the_cut_that_is_there():
    before = config_from_dict({"data": {"cut": {"protocol": "session-5", "n_folds": 4}}})
    assert apply_overrides(before, {"crossval.protocol": "own-splits"}).data.cut == CutConfig(
        protocol="own-splits", n_folds=4
    )


@pytest.mark.parametrize("wrong", [{"data": 3}, {"crossval": [1]}, {"data": {"cut": 3}}, {"crossval": {"protocol": 5}}])
def test_malformed_values_are_left_to_the_strict_parser(wrong):
    with pytest.raises(ConfigError, match="config: "):
        config_from_dict(wrong)
