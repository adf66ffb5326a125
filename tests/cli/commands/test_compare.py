import pytest


def test_a_run_does_not_differ_from_itself(run, cli):
    status, out, _ = cli("compare", run, run)
    assert status == 0
    assert "A − B +0.0000, 95% interval [+0.0000, +0.0000]" in out


def test_several_seeds_are_given_with_commas(run, cli):
    status, out, _ = cli("compare", f"{run},{run}", run, "--metric=accuracy", "--n_resamples", "100")
    assert status == 0
    assert out.startswith("accuracy on test")


def test_an_unknown_metric_names_the_nearest(run, cli):
    status, _, err = cli("compare", run, run, "--metric=weighted_f")
    assert status == 2
    assert "did you mean 'weighted_f1'?" in err


@pytest.mark.parametrize("flag", ["--n_resamples=0", "--n_resamples=-5", "--seed=-1"])
def test_impossible_numbers_of_resamples_and_seeds_are_refused(run, cli, flag):
    status, _, err = cli("compare", run, run, flag)
    assert status == 2
    assert "expected n_resamples of at least 1 and a seed of at least 0" in err
