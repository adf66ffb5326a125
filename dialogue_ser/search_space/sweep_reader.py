"""The keys of a sweep file: their types, and the rules between them."""

from collections.abc import Mapping
from typing import Any

from dialogue_ser.errors import ConfigError, shown_value
from dialogue_ser.foreign_text.yaml_text import place_text
from dialogue_ser.search_space.hyperband import MOST_BANDS, Hyperband
from dialogue_ser.search_space.key_reader import KeyReader
from dialogue_ser.search_space.numbers import MOST_NUMBER, as_yaml_number, number_problem
from dialogue_ser.search_space.parameters import Place, name_clashes, read_parameters
from dialogue_ser.search_space.shapes import GRID_DISTRIBUTIONS, Parameter, leaves
from dialogue_ser.search_space.sweep import Metric, Sweep, fingerprint_of

METHODS = ("grid", "random", "bayes", "custom")
GOALS = ("minimize", "maximize")
KEYS = (
    "method", "metric", "metrics", "parameters", "early_terminate", "run_cap", "program", "command", "name",
    "description", "project", "entity", "controller", "scheduler", "job", "image_uri", "launch", "apiVersion", "kind",
)  # fmt: skip
_METRIC_KEYS = ("name", "goal", "target", "impute", "impute_while_running")
_IMPUTE = ("latest", "best", "worst")
_HYPERBAND_KEYS = ("type", "min_iter", "max_iter", "s", "eta", "strict")
_SCHEDULER_KEYS = ("engine", "source", "optimizer", "search_space")
_LAUNCH_SCHEDULER_KEYS = ("job", "settings", "resource", "resource_args", "num_workers", "docker_image", "name")
#: Metrics of this split choose nothing.
_TEST = "test/"
_OLD = ("log_uniform", "q_log_uniform", "inv_log_uniform")


class SweepReader(KeyReader):
    """Reads all keys of a sweep file."""

    def sweep(self) -> Sweep:
        """Return the sweep.

        Raises:
            ConfigError: there are mistakes; the error has all of them.
        """
        self.unknown((), self.values, KEYS)
        method = self._method()
        metric = self._metric(("metric",), self.values["metric"]) if "metric" in self.values else None
        metrics = self._metrics(method)
        parameters = self._parameters(method)
        early = self._hyperband() if "early_terminate" in self.values else None
        self._between_keys(method, metric)
        texts = {key: self.text(key) for key in ("name", "description", "project", "entity", "program")}
        command, run_cap, controller = self._command(), self._run_cap(), self._controller()
        if self.problems:
            raise ConfigError(*self.problems)
        return Sweep(
            path=self.path,
            fingerprint=fingerprint_of(self.values),
            method=method,  # type: ignore[arg-type]  # one of METHODS
            metric=metric,
            metrics=metrics,
            parameters=parameters,
            early_terminate=early,
            run_cap=run_cap,
            program=texts.pop("program") or None,
            command=command,
            controller=controller,
            lines=self.lines,
            warnings=tuple(self._warnings(parameters)),
            **texts,
        )

    def _method(self) -> str:
        if "method" not in self.values:
            self.note(("method",), f"the key is missing; write one of {', '.join(METHODS)}")
            return "custom"
        return self.choice(("method",), self.values["method"], METHODS)

    def _metric(self, place: Place, value: Any) -> Metric | None:
        content = self.mapping(place, value, "{name: dev/weighted_f1, goal: maximize}", _METRIC_KEYS)
        if content is None:
            return None
        name = content.get("name")
        if not isinstance(name, str) or not name.strip():
            self.note((*place, "name"), f"found {shown_value(name)}, expected a name such as dev/weighted_f1")
            name = ""
        elif name.startswith(_TEST):
            dev = f"dev/{name.removeprefix(_TEST)}"
            self.note((*place, "name"), f"found {name!r}: test never chooses settings; choose with a metric of dev, "
                                         f"e.g. {dev}")  # fmt: skip
        goal = self.choice((*place, "goal"), content.get("goal", GOALS[0]), GOALS)
        target = content.get("target")
        if "target" in content and (problem := number_problem(target)):
            self.note((*place, "target"), problem)
            target = None
        return Metric(
            name=name,
            goal=goal,  # type: ignore[arg-type]  # one of GOALS
            target=None if target is None else float(target),
            impute=self.choice((*place, "impute"), content.get("impute", "worst"), _IMPUTE),
            impute_while_running=self.choice(
                (*place, "impute_while_running"), content.get("impute_while_running", "false"), (*_IMPUTE, "false")
            ),
        )

    def _metrics(self, method: str) -> tuple[Metric, ...]:
        if "metrics" not in self.values:
            return ()
        value = self.values["metrics"]
        if not isinstance(value, list) or len(value) < 2:
            self.note(("metrics",), f"found {shown_value(value)}, expected a list of at least two metrics; write a "
                                     "single one as metric: {name: …}")  # fmt: skip
            return ()
        if method != "custom":
            self.note(("metrics",), "several metrics need method: custom; otherwise write one as metric: {name: …}")
        if "metric" in self.values:
            self.note(("metrics",), "there is the key metric, too; keep one of them")
        found = [self._metric(("metrics", str(index)), one) for index, one in enumerate(value)]
        return tuple(one for one in found if one is not None)

    def _parameters(self, method: str) -> dict[str, Parameter]:
        if "parameters" not in self.values:
            if not self._has_outside_search_space():
                self.note(("parameters",), "the key is missing; write e.g. parameters: {lr: {values: [0.001, 0.01]}}")
            return {}
        found = read_parameters(self.values["parameters"], ("parameters",), self.note)
        for place, text in self.unquoted.items():
            is_value = place[0] == "parameters" and bool({"value", "values"} & set(place[2:]))
            if is_value and (written := as_yaml_number(text)):
                advice = f"write {written}, or put it in quotes if text is meant"
                self.note(place, f"found {text!r}, which YAML reads as text; {advice}")
        for path, other in name_clashes(found).items():
            self.note(self._place_of(path), f"is the same setting as {other}; keep one of them")
        if method == "grid":
            for path, shape in leaves(found).items():
                if not shape.is_finite:
                    advice = "or choose method: random or bayes"
                    self.note(self._place_of(path), f"method grid cannot take {shape.distribution}; write one of "
                                                     f"{', '.join(GRID_DISTRIBUTIONS)}, {advice}")  # fmt: skip
        return found

    @staticmethod
    def _place_of(path: Place) -> Place:
        place: Place = ()
        for name in path:
            place = (*place, "parameters", name)
        return place

    def _has_outside_search_space(self) -> bool:
        scheduler = self.values.get("scheduler")
        return isinstance(scheduler, Mapping) and "search_space" in scheduler

    def _hyperband(self) -> Hyperband | None:
        place = ("early_terminate",)
        example = "{type: hyperband, min_iter: 3}"
        before = len(self.problems)
        content = self.mapping(place, self.values["early_terminate"], example, _HYPERBAND_KEYS)
        if content is None:
            return None
        if "type" not in content:
            self.note(place, "the key type is missing; write type: hyperband")
        else:
            self.choice((*place, "type"), content["type"], ("hyperband",))
        for key in ("min_iter", "max_iter", "s"):
            value = content.get(key)
            most = MOST_BANDS if key == "s" else MOST_NUMBER
            is_right = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
            if key in content and not is_right:
                self.note((*place, key), f"found {shown_value(value)}, expected a whole number from 1 to {most:.0f}")
        eta = content.get("eta", 3)
        if (problem := number_problem(eta)) or eta <= 1:
            self.note((*place, "eta"), problem or f"found {eta}, expected a number above 1")
        if not isinstance(content.get("strict", True), bool):
            self.note((*place, "strict"), f"found {shown_value(content['strict'])}, expected true or false")
        self._hyperband_choice(place, content)
        if len(self.problems) > before:
            return None
        rule = Hyperband(**{key: value for key, value in content.items() if key != "type"})
        if not rule.bands:
            self.note(place, f"max_iter {rule.max_iter} divided by eta {eta} is below 1, so nothing would be stopped; "
                              "choose a greater max_iter or a smaller eta")  # fmt: skip
        return rule

    def _hyperband_choice(self, place: Place, content: Mapping[str, Any]) -> None:
        if "min_iter" in content and "max_iter" in content:
            self.note((*place, "min_iter"), "has no effect beside max_iter; keep one of them")
        elif "max_iter" in content and "s" not in content:
            self.note((*place, "max_iter"), "s is missing; write the number of bands, e.g. s: 2")
        elif "min_iter" in content and "s" in content:
            self.note((*place, "s"), "belongs to max_iter and has no effect with min_iter; remove it")
        elif not {"min_iter", "max_iter"} & set(content):
            self.note(place, "write min_iter, e.g. min_iter: 3, or max_iter and s")

    def _between_keys(self, method: str, metric: Metric | None) -> None:
        values = self.values
        if method == "bayes" and "metric" not in values:
            self.note(("method",), "bayes needs a metric; add e.g. metric: {name: dev/weighted_f1, goal: maximize}")
        if "early_terminate" in values and "metric" not in values:
            self.note(("early_terminate",), "needs a metric; add e.g. metric: {name: dev/weighted_f1, goal: maximize}")
        if "early_terminate" in values and "scheduler" in values:
            self.note(("early_terminate",), "cannot stand beside scheduler; keep one of them")
        if "job" in values and "image_uri" in values:
            self.note(("image_uri",), "cannot stand beside job; keep one of them")
        for key in ("job", "image_uri", "apiVersion"):
            self.text(key)
        if "kind" in values:
            self.choice(("kind",), values["kind"], ("sweep",))
        if "launch" in values and not isinstance(values["launch"], Mapping):
            self.note(("launch",), f"found {shown_value(values['launch'])}, expected e.g. {{queue: NAME}}")
        if "scheduler" in values:
            self._scheduler(method)

    def _scheduler(self, method: str) -> None:
        place, value = ("scheduler",), self.values["scheduler"]
        if isinstance(value, Mapping) and "engine" not in value and "launch" in self.values:
            self.unknown(place, value, _LAUNCH_SCHEDULER_KEYS)
            return
        content = self.mapping(place, value, "{engine: wandb}", _SCHEDULER_KEYS)
        if content is None:
            return
        if "engine" not in content:
            self.note(place, "the key engine is missing; write engine: wandb")
        elif content["engine"] in ("optuna", "ax"):
            self.note((*place, "engine"), f"Weights & Biases does not run {content['engine']} yet; write wandb")
        else:
            self.choice((*place, "engine"), content["engine"], ("wandb",))
        if {"optimizer", "search_space"} & set(content) and "source" not in content:
            self.note(place, "optimizer and search_space need the key source")
        if method == "custom":
            self.note(place, "method custom has its own scheduler; choose grid, random or bayes")
        if self.values.get("controller") == {"type": "local"}:
            self.note(place, "cannot stand beside controller: {type: local}; keep one of them")

    def _command(self) -> tuple[Any, ...] | None:
        value = self.values.get("command")
        if "command" not in self.values:
            return None
        if not isinstance(value, list) or not value:
            advice = "write every word as an item, e.g. ['${env}', dialogue-ser, train, '${args}']"
            self.note(("command",), f"found {shown_value(value)}, expected a list; {advice}")
            return None
        for index, item in enumerate(value):
            if item is None or isinstance(item, list | Mapping):
                self.note(("command", str(index)), f"found {shown_value(item)}, expected one word; write macros in "
                                                    "quotes, e.g. '${args}'")  # fmt: skip
        return tuple(value)

    def _run_cap(self) -> int | None:
        value = self.values.get("run_cap")
        if "run_cap" in self.values and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            self.note(("run_cap",), f"found {shown_value(value)}, expected a whole number of at least 1")
            return None
        return value

    def _controller(self) -> str:
        if "controller" not in self.values:
            return "cloud"
        content = self.mapping(("controller",), self.values["controller"], "{type: cloud}", ("type",))
        return self.choice(("controller", "type"), content.get("type"), ("cloud", "local")) if content else "cloud"

    def _warnings(self, parameters: Mapping[str, Parameter]) -> list[str]:
        """Return what works, but not as the file seems to say."""
        return [
            f"{place_text(self.path, self.lines, self._place_of(path))}: {shape.distribution} is old: its min and "
            f"max are exponents of e; {shape.distribution}_values takes the numbers themselves"
            for path, shape in leaves(parameters).items()
            if shape.distribution in _OLD
        ]
