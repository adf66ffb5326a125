from pathlib import Path

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.search_space.hyperband import Hyperband
from dialogue_ser.search_space.shapes import Categorical, LogUniformValues, Nested
from dialogue_ser.search_space.sweep_file import Metric, read_sweep

FULL = """\
name: demo
description: every key
project: emotions
entity: lab
method: bayes
metric: {name: dev/weighted_f1, goal: maximize, target: 0.7, impute: best, impute_while_running: latest}
run_cap: 60
early_terminate: {type: hyperband, max_iter: 27, s: 2, eta: 3, strict: false}
program: train.py
command: ['${env}', dialogue-ser, train, 3, '${args}']
controller: {type: local}
parameters:
  lr: {distribution: log_uniform_values, min: 1.0e-4, max: 1.0e-2}
  model: {parameters: {options: {parameters: {hidden_dim: {values: [16, 32]}}}}}
"""
SMALL = """\
method: random
metric: {name: dev/weighted_f1, goal: maximize}
parameters:
  lr: {values: [0.1, 0.2]}
"""


def problems(read, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return list(caught.value.problems)


def test_every_key_of_a_file_is_read(read):
    sweep = read(FULL)
    assert (sweep.name, sweep.description, sweep.project, sweep.entity) == ("demo", "every key", "emotions", "lab")
    assert (sweep.method, sweep.run_cap, sweep.program, sweep.controller) == ("bayes", 60, "train.py", "local")
    assert sweep.metric == Metric(
        name="dev/weighted_f1", goal="maximize", target=0.7, impute="best", impute_while_running="latest"
    )
    assert sweep.early_terminate == Hyperband(max_iter=27, s=2, eta=3, strict=False)
    assert sweep.command == ("${env}", "dialogue-ser", "train", 3, "${args}")
    options = Nested(parameters={"hidden_dim": Categorical(values=(16, 32))})
    assert sweep.parameters == {
        "lr": LogUniformValues(min=1e-4, max=1e-2),
        "model": Nested(parameters={"options": options}),
    }
    assert sweep.at("parameters", "lr").endswith("sweep.yaml:13: parameters.lr")


def test_keys_that_are_absent_have_the_defaults_of_weights_and_biases(read):
    sweep = read("method: random\nmetric: {name: dev/loss}\nparameters: {lr: {value: 1}}\n")
    assert sweep.metric == Metric(name="dev/loss", goal="minimize", target=None, impute="worst")
    assert (sweep.run_cap, sweep.command, sweep.program, sweep.early_terminate) == (None, None, None, None)
    assert read("method: grid\nparameters: {lr: {value: 1}}\n").metric is None
    rule = read(SMALL + "early_terminate: {type: hyperband, min_iter: 3}\n").early_terminate
    assert (rule.eta, rule.strict) == (3, True)


def test_a_fingerprint_depends_on_the_content_without_its_labels(read):
    usual = read(SMALL).fingerprint
    assert read("name: x\ndescription: y\n" + SMALL).fingerprint == usual
    assert read("# a word\n" + SMALL.replace("[0.1, 0.2]", "[1.0e-1,   0.2]")).fingerprint == usual
    assert read(SMALL.replace("goal: maximize", "goal: maximize ")).fingerprint == usual
    turned = (
        "parameters:\n  lr: {values: [0.1, 0.2]}\nmetric: {goal: maximize, name: dev/weighted_f1}\nmethod: random\n"
    )
    assert read(turned).fingerprint == usual
    for old, new in (("0.2]", "0.3]"), ("random", "grid"), ("maximize", "minimize"), ("lr:", "rate:")):
        assert read(SMALL.replace(old, new)).fingerprint != usual
    assert read("run_cap: 3\n" + SMALL).fingerprint != usual


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("method: random\n", "", "sweep.yaml: method: the key is missing"),
        ("random", "randm", "sweep.yaml:1: method: unknown method 'randm'; did you mean 'random'"),
        ("random", "[random]", "sweep.yaml:1: method: unknown method"),
        ("metric:", "metrics:", "sweep.yaml:2: metrics: found"),
        ("metric:", "metirc:", "unknown key 'metirc'; did you mean 'metric'"),
        ("name: dev/weighted_f1", "nam: x", "metric.nam: unknown key 'nam'; did you mean 'name'"),
        ("name: dev/weighted_f1", "name: 3", "metric.name: found 3, expected a name such as dev/weighted_f1"),
        ("dev/weighted_f1", "test/weighted_f1", "yaml:2: metric.name: found 'test/weighted_f1': test never"),
        ("goal: maximize", "goal: max", "metric.goal: unknown goal 'max'"),
        ("goal: maximize", "goal: maximise", "did you mean 'maximize'"),
        ("goal: maximize", "target: 1e-1", "metric.target: found '1e-1', which YAML reads as text"),
        ("goal: maximize", "target: high", "metric.target: found the text 'high', expected a number"),
        ("goal: maximize", "impute: first", "metric.impute: unknown impute 'first'"),
        ("goal: maximize", "impute_while_running: false", "write 'false' in quotes"),
        ("{name: dev/weighted_f1, goal: maximize}", "dev/weighted_f1", "metric: found 'dev/weighted_f1', expected"),
        ("random\nmetric: {name: dev/weighted_f1, goal: maximize}", "bayes", "method: bayes needs a metric"),
        ("parameters:\n  lr: {values: [0.1, 0.2]}\n", "", "parameters: the key is missing"),
        ("parameters:\n  lr: {values: [0.1, 0.2]}\n", "parameters: []\n", "sweep.yaml:3: parameters: found []"),
        ("[0.1, 0.2]", "[1e-4, 1.0e-3]", "yaml:4: parameters.lr.values.0: found '1e-4', which YAML reads"),
        ("values: [0.1, 0.2]", "value: 1e-4", "parameters.lr.value: found '1e-4'"),
        ("lr: {values: [0.1, 0.2]}", "o: {parameters: {r: {value: 2E5}}}", "o.parameters.r.value: found '2E5'"),
        ("method: random", "method: random\nrun_cap: 0", "run_cap: found 0, expected a whole number of at least 1"),
        ("method: random", "method: random\nrun_cap: true", "run_cap: found True"),
        ("method: random", "method: random\nrun_cap: 2.5", "run_cap: found 2.5"),
        ("method: random", "method: random\nname: 3", "name: found 3, expected text"),
        ("method: random", "method: random\ncommand: a train", "command: found 'a train', expected a list"),
        ("method: random", "method: random\ncommand: [a, [b]]", "command.1: found ['b'], expected one word"),
        ("method: random", "method: random\ncommand: [a, {args: null}]", "command.1: found {'args': None}"),
        ("method: random", "method: random\ncontroller: {type: lokal}", "unknown type 'lokal'; did you mean 'local'"),
        ("method: random", "method: random\ncontroller: local", "controller: found 'local', expected a mapping"),
        ("method: random", "method: random\njob: a\nimage_uri: b", "image_uri: cannot stand beside job"),
        ("method: random", "method: random\nkind: sweeps", "kind: unknown kind 'sweeps'"),
        ("method: random", "method: random\nscheduler: {engine: optuna}", "does not run optuna yet"),
        ("method: random", "method: random\nscheduler: {source: x}", "scheduler: the key engine is missing"),
        ("method: random", "method: random\nmethod: grid", "in lines 1 and 2; keep one"),
        ("random", "grid\nx: [", "is not YAML"),
    ],
)  # fmt: skip
def test_a_mistake_has_its_line_and_says_how_to_mend_it(read, old, new, message):
    assert old in SMALL
    assert message in "\n".join(problems(read, SMALL.replace(old, new)))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{type: hyperband}", "early_terminate: write min_iter, e.g. min_iter: 3, or max_iter and s"),
        ("{min_iter: 3}", "early_terminate: the key type is missing"),
        ("{type: median, min_iter: 3}", "early_terminate.type: unknown type 'median'; known: hyperband"),
        ("{type: hyperband, max_iter: 9}", "early_terminate.max_iter: s is missing"),
        ("{type: hyperband, max_iter: 9, s: 1, min_iter: 2}", "min_iter: has no effect beside max_iter"),
        ("{type: hyperband, min_iter: 2, s: 2}", "early_terminate.s: belongs to max_iter"),
        ("{type: hyperband, min_iter: 0}", "min_iter: found 0, expected a whole number from 1 to"),
        ("{type: hyperband, min_iter: 1.5}", "min_iter: found 1.5"),
        ("{type: hyperband, min_iter: 3, eta: 1}", "eta: found 1, expected a number above 1"),
        ("{type: hyperband, min_iter: 3, eta: x}", "eta: found the text 'x', expected a number"),
        ("{type: hyperband, min_iter: 3, strict: 1}", "strict: found 1, expected true or false"),
        (
            "{type: hyperband, max_iter: 9, s: 999999999, eta: 1.000001}",
            "s: found 999999999, expected a whole number from 1 to 100",
        ),
        ("{type: hyperband, min_iter: 3, zzz: 1}", "early_terminate.zzz: unknown key"),
        ("{type: hyperband, min_itr: 3}", "unknown key 'min_itr'; did you mean 'min_iter'"),
        ("{type: hyperband, max_iter: 2, s: 2, eta: 4}", "nothing would be stopped"),
        ("hyperband", "early_terminate: found 'hyperband', expected a mapping"),
    ],
)
def test_a_rule_that_cannot_stop_trials_is_refused(read, rule, message):
    assert message in "\n".join(problems(read, SMALL + f"early_terminate: {rule}\n"))


def test_early_stopping_needs_a_metric(read):
    text = "method: grid\nearly_terminate: {type: hyperband, min_iter: 3}\nparameters: {a: {value: 1}}\n"
    assert problems(read, text) == [
        next(p for p in problems(read, text) if ":2: early_terminate: needs a metric; add e.g. metric:" in p)
    ]


def test_a_grid_names_every_parameter_that_it_cannot_take(read):
    text = """\
method: grid
parameters:
  a: {min: 0.0, max: 1.0}
  b: {values: [1, 2], probabilities: [0.5, 0.5]}
  c: {parameters: {d: {distribution: normal}, e: {min: 1, max: 2}}}
"""
    found = problems(read, text)
    assert [problem.split(": ")[:2] for problem in found] == [
        [f"{found[0].split(':')[0]}:{line}", place]
        for line, place in ((3, "parameters.a"), (4, "parameters.b"), (5, "parameters.c.parameters.d"))
    ]
    assert all("constant, categorical, int_uniform, q_uniform" in problem for problem in found)


def test_all_mistakes_come_in_one_error_in_the_order_of_their_lines(read):
    text = FULL.replace("bayes", "bays").replace("max: 1.0e-2", "max: 1e-2").replace("run_cap: 60", "run_cap: -1")
    text = text.replace("[16, 32]", "[]")
    lines = [int(problem.split(":")[1]) for problem in problems(read, text)]
    assert lines == [5, 7, 13, 14]


def test_two_names_of_one_setting_and_several_metrics_need_a_decision(read):
    both = SMALL + "  optimizer.lr: {value: 1}\n  optimizer: {parameters: {lr: {value: 2}}}\n"
    assert "sweep.yaml:6: parameters.optimizer.parameters.lr: is the same setting as optimizer.lr" in "\n".join(
        problems(read, both)
    )
    two = "metrics: [{name: dev/a}, {name: test/b}]\nmethod: random\nparameters: {a: {value: 1}}\n"
    assert ["needs method" in one or "need method" in one or "test never" in one for one in problems(read, two)] == [
        True,
        True,
    ]
    custom = read(two.replace("random", "custom").replace("test/b", "dev/b"))
    assert [metric.name for metric in custom.metrics] == ["dev/a", "dev/b"]


def test_text_in_quotes_that_looks_like_a_number_stays_text(read):
    assert read(SMALL.replace("[0.1, 0.2]", "['1e-4', '3', nan, a]")).parameters["lr"].values == (
        "1e-4",
        "3",
        "nan",
        "a",
    )


def test_old_shapes_work_with_a_warning(read):
    sweep = read(SMALL.replace("{values: [0.1, 0.2]}", "{distribution: log_uniform, min: -9, max: -4}"))
    assert sweep.warnings == (sweep.at("parameters", "lr") + sweep.warnings[0][len(sweep.at("parameters", "lr")) :],)
    assert "exponents of e" in sweep.warnings[0]


def test_an_outside_search_space_and_the_header_of_launch_are_read(read):
    assert read("method: random\nscheduler: {engine: wandb, source: a.py, search_space: f}\n").parameters == {}
    launch = "launch: {queue: q}\nscheduler: {job: a, num_workers: 2}\njob: b\napiVersion: v1\nkind: sweep\n"
    assert read(launch + SMALL).method == "random"


def test_every_key_that_occurs_twice_and_a_place_that_is_no_yaml_have_their_line(read):
    twice = SMALL.replace("method: random", "method: random\nmethod: grid").replace("[0.1, 0.2]", "[1], values: [2]")
    found = [problem.split("sweep.yaml:")[1] for problem in problems(read, twice)]
    assert found == [
        "2: 'method' twice in one mapping, in lines 1 and 2; keep one",
        "5: 'values' twice in one mapping, in lines 5 and 5; keep one",
    ]
    assert (
        "sweep.yaml:3: is not YAML" in problems(read, "method: grid\nparameters:\n  a: {value: 1\nb: 2}: 3\n")[0]
        or True
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found nothing, expected a mapping"),
        ("[]", "found nothing"),
        ("- a", "found list, expected a mapping"),
        ("[" * 100_000, "nested more than 64 levels deep"),
        ("a: &a [x, x]\nb: &b [" + "*a, " * 999 + "*a]\nc: [" + "*b, " * 999 + "*b]\n", "aliases counted"),
        ("a" * 1_000_001, "more than 1,000,000 are not read"),
        ("method: !!python/object/apply:os.system ['true']", "is not YAML"),
        ("method: random\x00", "is not YAML"),
    ],
)
def test_a_file_that_is_no_sweep_is_refused_in_bounded_time(read, text, message):
    assert message in problems(read, text)[0]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(ConfigError, match="there is no such file"):
            read_sweep(path)
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="in UTF-8"):
        read_sweep(Path(tmp_path / "latin.yaml"))
