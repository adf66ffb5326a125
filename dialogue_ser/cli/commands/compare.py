"""``dialogue-ser compare RUN_A RUN_B``."""

from pathlib import Path

from dialogue_ser.evaluation import compare as comparison


def compare(
    run_a: str, run_b: str, split: str = "test", metric: str | None = None, n_resamples: int = 2000, seed: int = 0
) -> None:
    """Say whether run A is better than run B, by the difference of their scores and its interval.

    The interval comes from a paired bootstrap over dialogues: both runs are scored on the same random samples.

    Args:
        run_a: run directory of A, or several (one for each seed) separated by commas.
        run_b: run directory of B, or several (one for each seed) separated by commas.
        split: split to compare on; both runs must have predictions for it.
        metric: metric of the task, e.g. weighted_f1, uar or ccc, or package.module:function for your own one. If left
            out: weighted_f1 for classes, ccc for values.
        n_resamples: number of bootstrap samples. More samples make the interval more exact and take longer.
        seed: seed of the bootstrap samples. The same seed gives the same interval.
    """
    result = comparison.compare(
        [Path(run) for run in run_a.split(",")],
        [Path(run) for run in run_b.split(",")],
        split=split,
        metric=metric,
        n_resamples=n_resamples,
        seed=seed,
    )
    found = result.difference
    print(f"{result.metric} on {split}, {found.n_dialogues} dialogues")
    print(f"  A {found.a:.4f}  {run_a}")
    print(f"  B {found.b:.4f}  {run_b}")
    print(f"  A − B {found.estimate:+.4f}, {found.level:.0%} interval [{found.low:+.4f}, {found.high:+.4f}]")
    if result.randomisation is not None:
        print(f"  paired randomisation p = {result.randomisation.p_value:.4f}")
