from dataclasses import replace

import pytest

from dialogue_ser.corpus.cut import CutConfig
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.errors import ConfigError, CorpusError
from dialogue_ser.training.config.run_config import DataConfig, RunConfig
from dialogue_ser.training.data.corpus import corpus_of, for_every_fold

LOSO = "leave-one-speaker-out"


@pytest.fixture(scope="module")
def nemo(tmp_path_factory, write_nemo):
    return write_nemo(tmp_path_factory.mktemp("nemo"), n_each=1)


def test_a_corpus_is_read_with_every_setting_and_then_cut(nemo):
    data = DataConfig(reader="nemo", path=str(nemo), labels="shared-4", cut=CutConfig(protocol=LOSO, fold="BB0"))
    corpus = corpus_of(data)
    assert {turn.speaker for turn in utterances(corpus.split("test"))} == {"BB0"}
    assert corpus.label_set == read_corpus("nemo", nemo, "shared-4").label_set


def test_a_given_corpus_is_cut_too_and_nothing_is_read(nemo):
    whole = read_corpus("nemo", nemo)
    data = DataConfig(reader="nowhere:read", cut=CutConfig(protocol=LOSO, fold="CC0"))
    found = corpus_of(data, whole)
    assert found == corpus_of(replace(data, reader="nemo", path=str(nemo)))
    with pytest.raises(ConfigError, match="nowhere"):
        corpus_of(data)


def test_a_given_corpus_is_validated(nemo):
    whole = read_corpus("nemo", nemo)
    one = whole.split("all")[0]
    with pytest.raises(CorpusError, match="is also the id of"):
        corpus_of(DataConfig(), replace(whole, splits={"all": (one, one)}))


def test_with_every_fold_the_corpus_stays_whole_unless_a_fold_is_named(nemo):
    data = DataConfig(reader="nemo", path=str(nemo), cut=CutConfig(protocol=LOSO))
    with pytest.raises(ConfigError, match="has 4 folds"):
        corpus_of(data)
    assert set(corpus_of(data, every_fold=True).splits) == {"all"}
    named = replace(data, cut=CutConfig(protocol=LOSO, fold="AA0"))
    assert corpus_of(named, every_fold=True) == corpus_of(named)


def test_cross_validation_fills_the_protocol_in_and_takes_every_fold():
    def with_cut(**settings):
        return RunConfig(data=DataConfig(cut=CutConfig(**settings)))

    assert for_every_fold(with_cut(seed=4)) == with_cut(protocol=LOSO, seed=4)
    assert for_every_fold(with_cut(protocol="session-5")) == with_cut(protocol="session-5")
    with pytest.raises(ConfigError, match="found 'AA0', but crossval runs every fold"):
        for_every_fold(with_cut(protocol=LOSO, fold="AA0"))
    with pytest.raises(ConfigError, match="cross-fit cuts the train split only, for dialogue-ser crossfit"):
        for_every_fold(with_cut(protocol="cross-fit"))


# --- splits of a table ------------------------------------------------------------------------------------------


def table(tmp_path, *splits: str, **data) -> DataConfig:
    """Write a table with one dialogue for each name of a split, and return the settings that read it."""
    rows = "".join(f"{number},{split},t,joy\n" for number, split in enumerate(splits))
    (tmp_path / "turns.csv").write_text("dialogue,split,text,label\n" + rows)
    return DataConfig(reader="table", path=str(tmp_path / "turns.csv"), **data)


def sizes(data: DataConfig, **options) -> dict[str, int]:
    return {split: len(found) for split, found in corpus_of(data, **options).splits.items()}


def test_a_dev_split_that_a_table_lacks_is_drawn_from_train_and_a_warning_says_so(tmp_path):
    data = table(tmp_path, *["train"] * 20, *["test"] * 3)
    corpus = corpus_of(data)
    assert sizes(data) == {"train": 18, "test": 3, "dev": 2}
    assert any("dev 2 of the 20 dialogues of train were drawn at random (seed 0" in one for one in corpus.warnings)
    assert corpus_of(data) == corpus, "the same dialogues are drawn again"
    assert corpus_of(replace(data, options={"seed": 1})) != corpus
    drawn = next(utterances(corpus.split("dev")))
    assert drawn.id.startswith("dev/")
    assert drawn.attributes["id_in_corpus"] == drawn.id.replace("dev/", "train/"), "feature files keep their ids"


def test_a_table_with_nothing_but_train_gets_dev_and_test(tmp_path):
    assert sizes(table(tmp_path, *["train"] * 20)) == {"train": 16, "dev": 2, "test": 2}


def test_splits_are_drawn_only_if_a_run_needs_them(tmp_path):
    both = table(tmp_path, *["train"] * 10, "dev")
    assert sizes(both) == {"train": 10, "dev": 1}
    train = table(tmp_path, *["train"] * 10)
    assert sizes(replace(train, options={"fractions": {"train": 1.0}, "columns": {"split": None}})) == {"train": 10}
    assert sizes(replace(train, cut=CutConfig(protocol=LOSO)), every_fold=True) == {"train": 10}
    assert sizes(table(tmp_path, "train", "train")) == {"train": 2}, "a table too small to train can be looked at"


@pytest.mark.parametrize("n", [3, 4, 9])
def test_a_few_dialogues_of_train_give_dev_and_test_one_each(tmp_path, n):
    assert sizes(table(tmp_path, *["train"] * n)) == {"train": n - 2, "dev": 1, "test": 1}


def test_a_run_may_name_the_splits_as_the_table_writes_them(tmp_path):
    data = table(tmp_path, "Train", "valid", "test")
    assert sizes(data) == {"train": 1, "dev": 1, "test": 1}
    named = replace(data, train="Train", dev="valid")
    assert sizes(named) == {"Train": 1, "valid": 1, "test": 1}
