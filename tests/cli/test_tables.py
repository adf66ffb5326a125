from dialogue_ser.cli.tables import scores_table, show, show_list

INTERVAL = {"estimate": 0.5, "low": 0.4, "high": 0.625, "level": 0.95}
METRICS = ("weighted_f1", "macro_f1", "accuracy", "uar")
SCORES = dict.fromkeys(METRICS, 0.5)
PART = {"scores": SCORES, "intervals": dict.fromkeys(METRICS, INTERVAL), "counts": {"dialogues": 3, "labelled": 9}}
LABELS = ["none [0]", "joy"]


def test_every_split_is_a_row_with_intervals(capsys):
    show(scores_table({"run": "a [b]", "labels": LABELS, "splits": {"dev": PART, "test": PART}}))
    out = capsys.readouterr().out
    assert out.count("0.500 [0.400, 0.625]") == 8
    assert "a [b]: scores with 95% intervals" in out


def test_the_table_counts_masked_turns(capsys):
    show(scores_table({"run": "r", "labels": LABELS, "splits": {"dev": PART}, "masked": {"audio": 2, "text": 0}}))
    out = capsys.readouterr().out
    assert "audio 2" in out
    assert "text" not in out


def test_micro_f1_says_what_it_leaves_out(capsys):
    part = {**PART, "scores": {**SCORES, "micro_f1": 0.4321}}
    show(scores_table({"run": "r", "labels": LABELS, "splits": {"dev": part}, "leave_out": ["none [0]"]}))
    out = " ".join(capsys.readouterr().out.replace("┃", " ").split())
    assert "0.432" in out
    assert all(word in out for word in ("micro", "without", "none [0]"))
    show(scores_table({"run": "r", "labels": LABELS, "splits": {"dev": PART}, "leave_out": []}))
    assert "micro" not in capsys.readouterr().out


def test_lines_are_not_cut_if_the_output_is_not_a_terminal(capsys):
    show_list("things", ("name", "what"), [("x", "word " * 25)])
    assert ("word " * 25).strip() in capsys.readouterr().out
