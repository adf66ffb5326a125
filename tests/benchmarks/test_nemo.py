import copy
import json

from benchmarks import nemo
from benchmarks.page_tables import encoder_tables
from dialogue_ser.evaluation.crossval.cross_validate import cross_validate
from dialogue_ser.report.readme import RENDERERS
from dialogue_ser.training.config.overrides import apply_overrides
from dialogue_ser.training.config.presets import load_preset, preset_names


def test_every_svm_of_nemo_has_a_figure_to_reach():
    assert set(nemo.TARGETS) == {name for name in preset_names() if name.startswith("nemo-") and "-svm" in name}


def test_tables_show_what_a_cross_validation_gave(tmp_path, write_nemo):
    own = {"data.path": str(write_nemo(tmp_path / "nemo", n_each=1)), "features.audio.options.processes": 1}
    scores = cross_validate(apply_overrides(load_preset("nemo-egemaps-svm"), own), tmp_path / "out")
    stored = copy.deepcopy(scores)
    stored["name"], stored["extraction"]["audio"]["encoded"] = "nemo-egemaps-svm-speaker-norm", 0
    stored["uses_unlabelled_test_recordings"] = True
    rows = [nemo.row(scores), nemo.row(stored)]
    result = {"rows": rows, "versions": scores["versions"], "command": "python -m benchmarks.nemo --record"}
    (tmp_path / "nemo.json").write_text(json.dumps(result))
    text = RENDERERS["nemo"](tmp_path)
    assert text == encoder_tables.nemo(json.loads(json.dumps(result)))
    ua = f"{scores['pooled']['uar']:.3f}"
    assert f"| nemo-egemaps-svm | no | {ua} | " in text
    assert f"| nemo-egemaps-svm-speaker-norm | used | {ua} | " in text
    assert "0.369" in text
    assert text.count("eGeMAPSv02 ") == 1  # the second preset found its features in the store
    speakers = RENDERERS["nemo-speakers"](tmp_path)
    assert all(f"| {name} |" in speakers for name in ("AA0", "BB0", "CC0", "DD0"))
