import time
from dataclasses import replace

import pytest
import yaml

from dialogue_ser.cli.run_arguments import parse_train
from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.files import config_to_dict, dump_config, load_config
from dialogue_ser.training.config.overrides import apply_overrides
from dialogue_ser.training.config.presets import preset_names


def resolved(config, *tokens):
    return parse_train(["--config", str(config), *tokens]).config


BOTH_FORMS = [
    ("training.epochs", "3", lambda c: c.training.epochs, 3),
    ("optimizer.learning_rate", "1e-3", lambda c: c.optimizer.learning_rate, 0.001),
    ("features.text.options.n_filters", "7", lambda c: c.features["text"].options["n_filters"], 7),
    ("features.text.options.own", "mean", lambda c: c.features["text"].options["own"], "mean"),
    ("features.text.transforms", "[l2,rank]", lambda c: c.features["text"].transforms, ("l2", "rank")),
    ("model.options.attention", "simple", lambda c: c.model.options["attention"], "simple"),
    ("model.options.dropout", "0.5", lambda c: c.model.options["dropout"], 0.5),
    ("model.options.projection.text", "9", lambda c: c.model.options["projection"], {"text": 9}),
    ("data.options.columns.text", "Line", lambda c: c.data.options["columns"], {"text": "Line"}),
    ("data.path", "null", lambda c: c.data.path, None),
    ("wandb.tags", "[a,b]", lambda c: c.wandb.tags, ("a", "b")),
    ("save_attention", "false", lambda c: c.save_attention, False),
    ("training.precision", "no", lambda c: c.training.precision, "no"),
    ("training.sampling", "bucketed", lambda c: c.training.sampling, "bucketed"),
    ("seed", "4", lambda c: c.seed, 4),
    ("on-bad", "mask", lambda c: c.data.on_bad, "mask"),
]


@pytest.mark.parametrize(("name", "text", "read", "value"), BOTH_FORMS, ids=[case[0] for case in BOTH_FORMS])
def test_a_flag_works_with_a_space_and_with_an_equals_sign(config, name, text, read, value):
    assert read(resolved(config, f"--{name}", text)) == value
    assert read(resolved(config, f"--{name}={text}")) == value


@pytest.mark.parametrize(
    ("tokens", "read", "value"),
    [
        (["--model.options.party-dim=9"], lambda c: c.model.options["party_dim"], 9),
        (["--optimizer.learning-rate", "0.5"], lambda c: c.optimizer.learning_rate, 0.5),
        (["--save-attention=false"], lambda c: c.save_attention, False),
        (["--on_bad", "mask"], lambda c: c.data.on_bad, "mask"),
        (["--data.on-bad", "mask"], lambda c: c.data.on_bad, "mask"),
        (["--features.text.options.max-length=3"], lambda c: c.features["text"].options["max_length"], 3),
        (["--features.my-ear.encoder=opensmile", "--features.my-ear.options.feature-set=emobase",
          "--features.my-ear.augment.seed=3"],
         lambda c: (c.features["my-ear"].options, c.features["my-ear"].augment.seed), ({"feature_set": "emobase"}, 3)),
        (["--data.options.label-map.well-off=not-bad"],
         lambda c: c.data.options, {"label_map": {"well-off": "not-bad"}}),
        (["--optimizer.l2.my-part=0.5"], lambda c: c.optimizer.l2, {"my-part": 0.5}),
        (["--training.begin-from.my-ear=runs/my-run"], lambda c: c.training.begin_from, {"my-ear": "runs/my-run"}),
        (["--model.options.projection.my-ear=3"], lambda c: c.model.options["projection"], {"my-ear": 3}),
    ],
    ids=lambda case: case[0] if isinstance(case, list) else "",
)  # fmt: skip
def test_names_of_settings_accept_hyphens_and_names_that_the_user_chose_keep_them(config, tokens, read, value):
    assert read(resolved(config, *tokens)) == value


def test_a_switch_needs_no_value(config):
    assert resolved(config, "--model.options.causal", "--seed", "2").model.options["causal"] is True
    assert resolved(config, "--loss.soft-labels").loss.soft_labels is True
    assert resolved(config, "--model.options.causal", "no").model.options["causal"] is False
    assert resolved(config, "--features.text.options.speakers").features["text"].options["speakers"] is True
    assert resolved(config, "--features.text.options.a", "--seed=2").features["text"].options["a"] is True


@pytest.mark.parametrize(
    "flag",
    ["--print-config", "--print_config", "--print-config=true", "--smoke", "--allow-mismatch", "--allow_mismatch"],
)
def test_switches_of_the_command_take_a_value_or_none(config, flag):
    request = parse_train(["--config", str(config), flag])
    name = flag.removeprefix("--").removesuffix("=true").replace("-", "_")
    switches = {key: getattr(request, key) for key in ("print_config", "smoke", "allow_mismatch")}
    assert switches == {**dict.fromkeys(switches, False), name: True}


def test_a_flag_changes_nothing_else(config):
    before, after = config_to_dict(resolved(config)), config_to_dict(resolved(config, "--features.text.options.x=1"))
    assert after["features"]["text"]["options"].pop("x") == 1
    assert before == after


def test_the_last_of_repeated_flags_wins(config):
    assert resolved(config, "--seed", "2", "--seed=5").seed == 5


def test_pythons_none_in_a_sweeps_flag_means_none(config):
    assert resolved(config, "--data.path=None").data.path is None


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["--training.epocs", "3"], r"unknown flag --training.epocs; did you mean --training.epochs\?"),
        (["--model.options.hiden_dim=3"], r"did you mean --model.options.hidden_dim\?"),
        (["--training.epochs", "x"], "--training.epochs: found 'x', expected a whole number"),
        (["--model.options.attention=simpel"], r"did you mean 'simple'\?"),
        (["--training.sampling=bucket"], r"expected one of shuffled, bucketed; did you mean 'bucketed'\?"),
        (["--model.name=emotion-rn"], r"unknown model 'emotion-rn'; did you mean 'emotion-rnn'\?"),
        (["--features.txt.encoder.x", "y"], r"unknown modality 'txt'; did you mean 'text'\?"),
        (["--data.on_bad=skip"], "expected one of error, mask"),
        (["--preset", "quickstar"], r"unknown preset 'quickstar'; did you mean 'quickstart'\?"),
        (["stray"], "unexpected argument 'stray'"),
    ],
)
def test_a_wrong_flag_or_value_names_the_nearest_match(config, tokens, message):
    with pytest.raises(ConfigError, match=message):
        resolved(config, *tokens)


def test_a_wrong_key_in_a_config_file_is_named_with_the_file(config):
    config.write_text("training: {epocs: 3}\nmodle: {}\n")
    with pytest.raises(ConfigError) as caught:
        resolved(config)
    text = str(caught.value)
    assert str(config) in text
    assert "did you mean 'epochs'" in text
    assert "did you mean 'model'" in text


def test_a_model_option_in_a_file_that_the_model_lacks_is_named(config):
    config.write_text(config.read_text().replace("party_dim", "partie_dim"))
    with pytest.raises(ConfigError, match="did you mean 'party_dim'"):
        resolved(config)


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_can_be_parsed_and_reads_back_equal(preset, tmp_path):
    config = parse_train(["--preset", preset]).config
    (tmp_path / "again.yaml").write_text(dump_config(config))
    assert resolved(tmp_path / "again.yaml") == config
    assert config.name == preset


def test_a_file_replaces_settings_of_the_preset_and_flags_replace_both(tmp_path):
    over = tmp_path / "over.yaml"
    over.write_text("seed: 7\ntraining: {epochs: 9}\n")
    plain = parse_train(["--preset", "quickstart"]).config
    config = parse_train(["--preset", "quickstart", "--config", str(over), "--training.epochs=2"]).config
    assert (config.seed, config.training.epochs) == (7, 2)
    assert config.training.batch_size == plain.training.batch_size


def test_another_encoder_drops_the_options_of_the_former(config):
    features = resolved(config, "--features.text.encoder=minilm").features["text"]
    assert (features.encoder, features.options) == ("minilm", {})
    assert resolved(config, "--features.text.encoder=textcnn").features["text"].options["n_filters"] == 4


def test_another_reader_drops_the_path_labels_and_options_of_the_former(config):
    config.write_text(config.read_text().replace("data: {", "data: {labels: mood, on_bad: mask, options: {seed: 3}, "))
    data = resolved(config, "--data.reader=meld").data
    assert (data.reader, data.path, data.labels, data.options, data.on_bad) == ("meld", None, "emotion", {}, "mask")
    data = resolved(config, "--data.reader", "meld", "--data.labels", "sentiment", "--data.path=x").data
    assert (data.path, data.labels) == ("x", "sentiment")
    assert resolved(config, "--data.reader=table").data.labels == "mood", "the same reader is no other one"


def test_a_setting_of_a_layer_that_chooses_no_reader_is_kept_for_the_reader_of_the_next_layer(config, tmp_path):
    (tmp_path / "where.yaml").write_text("data: {path: turns.csv}\n")
    assert resolved(tmp_path / "where.yaml", "--data.reader=table").data.path == "turns.csv"


PAIRS = [
    ({"model.name": "bigru"}, ["--model.name", "bigru"]),
    ({"features.text.encoder": "minilm"}, ["--features.text.encoder=minilm"]),
    ({"features.text.encoder": "minilm", "features.text.options.layers": 2},
     ["--features.text.options.layers=2", "--features.text.encoder=minilm"]),
    ({"data.reader": "meld", "data.labels": "sentiment"}, ["--data.labels=sentiment", "--data.reader=meld"]),
    ({"features.text": None, "features.x.encoder": "minilm"}, ["--features.text=null", "--features.x.encoder=minilm"]),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "tokens"), PAIRS)
def test_overrides_in_python_and_flags_mean_the_same(config, overrides, tokens):
    from dialogue_ser.models import resolve_options

    by_flags, by_python = resolved(config, *tokens), apply_overrides(load_config(config), overrides)
    options = resolve_options(
        by_python.model.name, by_python.model.options
    )  # the flags give every option, the overrides only the changed ones
    assert replace(by_python, model=replace(by_python.model, options=options)) == by_flags


def test_another_model_has_its_own_options(config):
    options = resolved(config, "--model.name", "bigru", "--model.options.hidden_dim=3").model.options
    assert options["hidden_dim"] == 3
    assert "party_dim" not in options
    with pytest.raises(ConfigError, match=r"unknown flag --model\.options\.party_dim"):
        resolved(config, "--model.name=bigru", "--model.options.party_dim=3")


def test_a_modality_can_be_added_and_left_out(config):
    both = resolved(config, "--features.audio.encoder=opensmile", "--features.audio.options.feature_set=emobase")
    assert list(both.features) == ["text", "audio"]
    assert both.features["audio"].options == {"feature_set": "emobase"}
    audio = resolved(config, "--features.text=null", "--features.audio.encoder", "opensmile")
    assert list(audio.features) == ["audio"]
    assert list(resolved(config, "--features.text", "null", "--features.x.encoder=minilm").features) == ["x"]


def test_without_preset_file_or_run_the_error_says_what_to_give():
    with pytest.raises(
        ConfigError, match=r"there is no data; .*--data.path.*there is no modality; .*minilm.*or give --preset NAME"
    ):
        parse_train(["--seed", "3"])


@pytest.fixture
def table(config):
    return config.with_name("turns.csv")


def test_a_table_and_an_encoder_are_enough_to_train(table):
    request = parse_train(["--data.path", str(table), "--features.text.encoder", "minilm"])
    config = request.config
    assert (config.data.reader, config.data.path, config.name) == ("table", str(table), "turns-text")
    assert config.features["text"].transforms == ("impute", "standardise")
    assert (request.out, config.model.name) == (None, "emotion-rnn")


def test_flags_alone_can_name_several_modalities_and_change_every_default(table):
    flags = ["--features.text.encoder=textcnn", "--features.audio.encoder=opensmile", "--features.audio.transforms=[]"]
    config = parse_train([f"--data.path={table}", *flags, "--name=mine", "--model.name=bigru"], "crossval").config
    assert {name: one.transforms for name, one in config.features.items()} == {"text": (), "audio": ()}
    assert (config.name, config.model.name) == ("mine", "bigru")
    named = parse_train([f"--data.path={table}", *flags], "crossval").config
    assert named.name == "turns-text-audio-crossval"


def test_flags_alone_can_name_a_reader(table):
    config = parse_train(["--data.reader=sample", "--features.audio.encoder=opensmile"]).config
    assert (config.data.reader, config.data.path, config.name) == ("sample", None, "sample-audio")


def test_a_file_of_settings_that_names_a_table_needs_no_reader(table, tmp_path):
    (tmp_path / "own.yaml").write_text(f"data: {{path: {table}}}\nfeatures: {{text: {{encoder: minilm}}}}\n")
    config = resolved(tmp_path / "own.yaml")
    assert (config.data.reader, config.features["text"].transforms) == ("table", ())


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["--features.text.encoder=minilm"], "there is no data; name your table"),
        (["--data.path=turns.csv"], "there is no modality; name an encoder"),
        (["--data.path=.", "--features.text.encoder=minilm"], "--data.path . is no file; name the reader"),
        (["--data.path=turns.csv", "--features.text.encodr=minilm"], "needs --features.text.encoder NAME"),
        ([], "nothing to train"),
    ],
)
def test_flags_alone_that_say_too_little_are_told_what_is_missing(tokens, message):
    for command in ("train", "crossval"):
        with pytest.raises(ConfigError, match=message) as caught:
            parse_train(tokens, command)
        assert len(caught.value.problems) == 1


def test_the_help_of_crossval_speaks_of_crossval_only(cli):
    status, out, _ = cli("crossval", "--help")
    assert status == 0
    assert "dialogue-ser train" not in out.split("options:")[0]
    assert "--resume" not in out
    assert "directory of the cross-validation" in out


def test_resume_takes_the_runs_own_settings(config, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    values = yaml.safe_load(config.read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(values | {"seed": 11}))
    request = parse_train(["--resume", str(run)])
    assert (request.resume, request.out, request.config.seed) == (True, run, 11)
    assert (
        request.config.model.options == values["model"]["options"]
    )  # options that the run left at their defaults are not added
    assert parse_train(["--resume", str(run), "--model.options.causal=true"]).config.model.options["causal"] is True


def test_resume_of_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no run there"):
        parse_train(["--resume", str(tmp_path)])


def test_resume_with_another_out_is_refused(run, tmp_path):
    with pytest.raises(ConfigError, match="remove --out"):
        parse_train(["--resume", str(run), "--out", str(tmp_path / "other")])


def test_help_shows_the_fields_of_the_chosen_model(config, capsys):
    with pytest.raises(SystemExit):
        resolved(config, "--help")
    out = capsys.readouterr().out
    assert "--model.options.attention" in out
    assert "--features.text.encoder" in out
    assert "how often to go through train" in out


def test_a_single_value_instead_of_a_list_is_refused(config):
    with pytest.raises(ConfigError, match=r"found 'l2', expected a list such as \[a, b\]"):
        resolved(config, "--features.text.transforms", "l2")


def test_an_empty_run_directory_is_no_default(config):
    with pytest.raises(ConfigError, match="--out: found ''"):
        resolved(config, "--out=")


def test_a_removed_modality_leaves_the_models_projection_too():
    config = parse_train(["--preset", "quickstart", "--features.audio", "null"]).config
    assert list(config.features) == ["text"]
    assert config.model.options["projection"] == {"text": 64}


def test_the_old_names_of_protocol_and_seed_are_still_accepted(capsys, tmp_path):
    config = parse_train(["--preset", "nemo-vgg", "--crossval.protocol=session-5", "--crossval.seed", "4"]).config
    assert (config.data.cut.protocol, config.data.cut.seed) == ("session-5", 4)
    assert capsys.readouterr().err.splitlines() == [
        f"note: --crossval.{name} is called --data.cut.{name} since 0.1.0; 0.2.0 removes the old name"
        for name in ("protocol", "seed")
    ]
    (tmp_path / "old.yaml").write_text("crossval: {protocol: own-splits, seed: 2}")
    config = parse_train(["--preset", "nemo-vgg", "--config", str(tmp_path / "old.yaml")]).config
    assert (config.data.cut.protocol, config.data.cut.seed) == ("own-splits", 2)


def test_a_protocol_that_does_not_exist_names_the_nearest():
    with pytest.raises(
        ConfigError, match=r"data\.cut\.protocol: unknown protocol .*did you mean 'leave-one-session-out'"
    ):
        parse_train(["--preset", "nemo-vgg", "--data.cut.protocol", "leave-one-sesion-out"])


def test_a_misspelled_modality_is_refused_and_a_new_one_is_not() -> None:
    with pytest.raises(
        ConfigError, match=r"--features\.txt: there is no modality 'txt'; did you mean --features\.text\?"
    ):
        parse_train(["--preset", "meld-text", "--features.txt.encoder", "minilm"])
    for name in ("audio", "text2", "knowledge"):
        tokens = ["--preset", "meld-text", f"--features.{name}.encoder", "minilm"]
        assert set(parse_train(tokens).config.features) == {"text", name}


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("--training=fast.yaml", "--training is a group of flags and takes only a mapping"),
        ("--data=turns.csv", "--data is a group of flags"),
        ("--seed=" + "9" * 400, "--seed: found '999"),
        ("--seed=" + "9" * 5000, "expected a number of fewer digits"),
        ("--model.options.dropout=" + "9" * 400, "--model.options.dropout: found"),
        ("--data.options=" + "[" * 20_000, "nested more than"),
        ("--metrics=[" + "9" * 4400 + "]", "dialogue-ser train: "),
    ],
    ids=lambda value: value[:16],
)
def test_values_that_no_setting_can_hold_are_one_short_line_at_once(config, token, message):
    begin = time.perf_counter()
    with pytest.raises(ConfigError) as caught:
        resolved(config, token)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1500
    assert time.perf_counter() - begin < 5


def test_a_command_line_leaves_no_default_behind_for_the_next_one(config):
    plain = parse_train(["--config", str(config)]).config
    other = [*("--config", str(config), "--data.path", "other.csv"), "--model.options", "{dropout: 0.25}"]
    assert parse_train(other).config != plain
    assert parse_train(["--preset", "meld-text"]).config.model.options != plain.model.options
    assert parse_train(["--config", str(config)]).config == plain
