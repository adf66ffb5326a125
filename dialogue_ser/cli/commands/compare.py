"""``dialogue-ser compare RUN_A RUN_B``."""

from pathlib import Path

from dialogue_ser.evaluation import compare as comparison


def compare(
    run_a: str, run_b: str, split: str = "test", metric: str | None = None, n_resamples: int = 2000, seed: int = 0
) -> None:
    """Paired bootstrap over dialogues between two runs: is A better than B?

    Args:
        run_a: run directory of A; several seeds separated by commas.
        run_b: run directory of B; several seeds separated by commas.
        split: split that both predicted.
        metric: any metric of the task (weighted_f1, uar, ccc, …), or package.module:function of your own; the task's
            default (weighted_f1, or ccc) if left out.
        n_resamples: draws.
        seed: of the draws.
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
