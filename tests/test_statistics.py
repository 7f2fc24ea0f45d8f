"""Statistics against scipy, statsmodels and scikit-learn; coverage and size by simulation."""

import doctest
import itertools
import math
import time
from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy import special, stats
from statsmodels.stats import contingency_tables, power, proportion
from statsmodels.stats.multitest import multipletests

from mien import metrics
from mien import statistics as st
from mien.errors import CompareError
from mien.statistics import resampling
from mien.statistics import tests as paired
from mien.statistics.estimates import one_spread, share
from mien.statistics.influence import AUCS, AucDraws
from mien.statistics.resampling import Units, drawn_classes


def rng(seed=0):
    return np.random.default_rng(seed)


def as_logits(correct):
    """Two classes, all labels 1: logits `(..., N, 2)` that are right where `correct (..., N)` says so."""
    return np.stack([~correct, correct], axis=-1).astype(np.float32)


def drawn(seeds=3, faces=300, gain=0.0, seed=0):
    """Logits `(S, N, 4)` of runs that share the faces' difficulty, and labels."""
    generator, labels = rng(seed), rng(99).integers(0, 4, faces)
    shared = rng(98).normal(size=(faces, 4)) + np.eye(4)[labels]
    return shared + generator.normal(size=(seeds, faces, 4)) * 0.7 + gain * np.eye(4)[labels], labels


def crossed(generator, seeds, faces, seed_sd):
    """Correctness `(2, S, N)` of two equally good networks: faces, networks, seeds and their interplay vary."""
    own = generator.normal(0, 2.4, (2, 1, faces))
    ability = generator.normal(3, 4.5, faces) + own + generator.normal(0, seed_sd, (2, seeds, 1))
    return generator.random((2, seeds, faces)) < 1 / (1 + np.exp(-ability))


# Resampling


def test_counts_are_a_bootstrap_of_faces_or_of_whole_subjects():
    counts = np.concatenate(list(st.face_counts(rng(), 50, 3000)))
    assert (counts.sum(axis=1) == 50).all()
    assert counts.mean() == 1
    assert counts.var() == pytest.approx(1 - 1 / 50, rel=0.03)
    subjects = np.repeat([7, 3, 5], [1, 2, 4])
    (clustered,) = st.face_counts(rng(), 7, 100, subjects)
    for one in (3, 5):
        assert (np.ptp(clustered[:, subjects == one], axis=1) == 0).all()
    assert set(clustered[:, 0] + clustered[:, 1] + clustered[:, 3]) == {3}


def test_blocks_keep_memory_flat_and_add_up():
    sizes = [block.shape for block in st.face_counts(rng(), 2**18, 100)]
    assert sizes == [(64, 2**18), (36, 2**18)]


@pytest.mark.parametrize("metric", [one.key for one in metrics.METRICS])
def test_each_draw_is_the_metric_of_the_redrawn_faces(metric):
    logits, labels = drawn(seeds=2, faces=80)
    (counts,) = st.face_counts(rng(1), 80, 5)
    ours = st.replicate(logits, labels, metric, counts)
    for draw, run in itertools.product(range(5), range(2)):
        index = np.repeat(np.arange(80), counts[draw].astype(int))
        theirs = getattr(metrics.scores(logits[run][index], labels[index]), metric)
        assert ours[draw, run] == pytest.approx(theirs)


@pytest.mark.parametrize("metric", AUCS)
def test_an_auc_is_redrawn_by_its_influences(metric):
    logits, labels = drawn(seeds=1, faces=600)
    (counts,) = st.face_counts(rng(2), 600, 200)
    ranked = st.replicate(logits, labels, metric, counts)[:, 0]
    aucs = AucDraws.of(logits[0], labels)
    moved = aucs.on(counts)[metric]
    assert np.std(moved) == pytest.approx(np.std(ranked), rel=0.05)
    assert np.corrcoef(moved, ranked)[0, 1] > 0.99
    plain = aucs.on(np.ones((1, 600), np.float32))[metric]
    assert plain[0] == pytest.approx(getattr(metrics.scores(logits[0], labels), metric), abs=1e-9)


def test_every_score_can_be_compared_by():
    assert set(metrics.scores(np.eye(3), [0, 1, 2]).values) == {one.key for one in metrics.METRICS}
    logits, labels = drawn()
    with pytest.raises(CompareError, match="no metric 'f2'"):
        st.bootstrap(logits, labels, "f2", rng())


# Intervals


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_interval_over_faces_is_that_of_scipy(method):
    correct = rng(3).random(150) < 0.9
    ours = st.bootstrap(as_logits(correct)[None], np.ones(150, int), "accuracy", rng(), method=method, draws=8000)
    theirs = stats.bootstrap(
        (correct.astype(float),), np.mean, n_resamples=8000, method=method, rng=rng(), vectorized=True
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.007)


@pytest.mark.long
def test_bca_of_a_skewed_metric_is_that_of_scipy():
    logits, labels = drawn(seeds=1, faces=120)
    predicted = logits[0].argmax(1)
    ours = st.bootstrap(logits, labels, "macro_f1", rng(), method="bca", draws=4000)

    def f1(a, b):
        return sk.f1_score(a.astype(int), b.astype(int), average="macro")

    theirs = stats.bootstrap(
        (labels, predicted), f1, paired=True, vectorized=False, n_resamples=700, rng=rng(), method="BCa"
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_t_interval_over_seeds_is_that_of_scipy():
    logits, labels = drawn(seeds=5)
    each = [metrics.scores(z, labels).accuracy for z in logits]
    ours = st.bootstrap(logits, labels, "accuracy", rng(), over="seeds")
    mean = np.mean(each)
    theirs = stats.t.interval(0.95, 4, special.logit(mean), stats.sem(each) / (mean * (1 - mean)))
    assert (ours.low, ours.high) == pytest.approx(special.expit(theirs))
    unbounded = st.bootstrap(logits, labels, "nll", rng(), over="seeds")
    losses = [metrics.scores(z, labels).nll for z in logits]
    assert (unbounded.low, unbounded.high) == pytest.approx(
        stats.t.interval(0.95, 4, np.mean(losses), stats.sem(losses))
    )


def test_spread_takes_the_variances_apart():
    generator, seeds, faces = rng(5), 40, 4000
    table = (
        generator.normal(0, 0.3, faces) + generator.normal(0, 0.02, (seeds, 1))
        + generator.normal(0, 0.4, (seeds, faces))
    )  # fmt: skip
    counts = np.concatenate(list(st.face_counts(rng(), faces, 2000)))
    result = st.spread(table.mean(1), counts @ table.T / faces, Units(faces))
    assert result.interplay == pytest.approx(0.16 / (faces * seeds), rel=0.15)
    assert result.faces == pytest.approx(0.09 / faces + 0.16 / (faces * seeds), rel=0.15)
    assert result.seeds == pytest.approx(0.0004 / seeds + 0.16 / (faces * seeds), rel=0.5)
    same = result.at(seeds, faces)
    assert (same.faces, same.seeds) == pytest.approx((result.faces, result.seeds))
    assert result.at(4 * seeds, 2 * faces).variance < result.variance / 2


def covered(seeds, seed_sd, over, method, replicates):
    """How often the interval of accuracy holds the accuracy of all faces and all seeds."""
    generator, held = rng(11), 0
    ability = rng(12).normal(3, math.sqrt(4.5**2 + 2.4**2 + seed_sd**2), 10**6)
    truth = np.mean(1 / (1 + np.exp(-ability)))
    labels = np.ones(200, int)
    for _ in range(replicates):
        logits = as_logits(crossed(generator, seeds, 200, seed_sd)[0])
        got = st.bootstrap(logits, labels, "accuracy", generator, over=over, method=method, draws=300)
        held += got.low <= truth <= got.high
    return held / replicates


def test_coverage_over_faces():
    assert covered(1, 0.0, "faces", "percentile", 400) > 0.92


@pytest.mark.parametrize(("seeds", "least"), [(3, 0.90), (5, 0.92)])
def test_coverage_over_faces_and_seeds(seeds, least):
    assert covered(seeds, 0.4, "both", "t", 300) > least


@pytest.mark.long
@pytest.mark.parametrize(
    ("seeds", "faces", "seed_sd", "face_sd"),
    [
        (2, 60, 0, 0),
        (3, 60, 0, 0),
        (3, 60, 0.3, 0),
        (5, 60, 0.3, 0),
        (10, 60, 0.3, 0),
        (10, 6, 0.05, 1),
        (5, 5, 0.05, 1),
    ],
)
def test_few_seeds_have_their_degrees_of_freedom_and_hold_the_truth(seeds, faces, seed_sd, face_sd):
    """Paired differences often have no variance between faces of their own; five people have little else."""
    generator, held = rng(13), []
    for _ in range(1500):
        table = generator.normal(0, seed_sd, (seeds, 1)) + generator.normal(0, face_sd, faces)
        table += generator.normal(0, 1 - 0.9 * face_sd, (seeds, faces))
        of_mean, of_one = table.mean(0).var() / faces, table.var(1).mean() / faces
        found = st.Spread(
            mean=table.mean(),
            faces=of_mean,
            seeds=table.mean(1).var(ddof=1) / seeds,
            interplay=max(of_one - of_mean, 0) / (seeds - 1),
            n_seeds=seeds,
            units=Units(faces),
        )
        assert found.df >= min(seeds, faces) - 1
        interval = found.interval()
        held.append(interval.low <= 0 <= interval.high)
    assert np.mean(held) > (0.925 if faces > 6 else 0.89)  # the bootstrap's variance of six is a sixth too small


@pytest.mark.long
def test_coverage_is_close_to_the_level_and_percentiles_over_few_seeds_are_not():
    for seeds in (3, 5, 10):
        assert 0.92 < covered(seeds, 0.4, "both", "t", 2000) < 0.98
    assert covered(3, 1.5, "both", "percentile", 1000) < 0.88 < covered(3, 1.5, "both", "t", 1000)


def test_coverage_of_subjects_needs_subjects():
    subjects, labels, generator = np.repeat(np.arange(40), 10), np.ones(400, int), rng(21)
    held = {True: 0, False: 0}
    for _ in range(200):
        chance = generator.beta(2, 2, 40)[subjects]
        logits = as_logits(generator.random(400) < chance)[None]
        for known in held:
            given = subjects if known else None
            got = st.bootstrap(logits, labels, "accuracy", generator, subjects=given, draws=300)
            held[known] += got.low <= 0.5 <= got.high
    assert held[True] > 0.89 * 200
    assert held[False] < 0.85 * 200


def test_coverage_of_the_f1_of_a_class():
    """Wilson's interval at the effective number of the class's faces, the rarest class of nine faces among 600."""
    generator, prior, held = rng(23), np.array([0.13, 0.015, 0.14, 0.25, 0.17, 0.18, 0.115]), []

    def seen(n, seeds):
        labels, shared = generator.choice(7, n, p=prior), generator.normal(0, 0.8, (n, 7))
        logits = [shared + generator.normal(0, 0.8, (n, 7)) for _ in range(seeds)]
        for z in logits:
            z[np.arange(n), labels] += 1.6 + generator.normal(0, 0.2)
        return labels, logits

    def f1(labels, logits, counts):
        return np.stack([drawn_classes(metrics.Predicted(z, labels), counts).f1 for z in logits], axis=1)

    labels, logits = seen(8000, 60)
    truth = f1(labels, logits, np.ones((1, 8000), np.float32))[0].mean(axis=0)
    for _ in range(60):
        labels, logits = seen(600, 3)
        counts = itertools.chain([np.ones((1, 600), np.float32)], st.face_counts(generator, 600, 200))
        table = np.concatenate([f1(labels, logits, block) for block in counts])
        for k, n in enumerate(np.bincount(labels, minlength=7).tolist()):
            if n:
                one = share(one_spread(table[0, :, k], table[1:, :, k], Units(n)), n).interval
                held.append(one.low <= truth[k] <= one.high)
    assert np.mean(held) > 0.92


def test_coverage_of_wilson():
    for p, n in [(0.02, 60), (0.5, 60), (0.95, 200)]:
        hits = np.arange(n + 1)
        low, high = st.wilson(hits, n)
        assert stats.binom.pmf(hits, n, p)[(low <= p) & (p <= high)].sum() > 0.92


def test_2000_draws_of_3589_faces_are_fast():
    generator = rng()
    logits, labels = generator.normal(size=(1, 3589, 7)), generator.integers(0, 7, 3589)
    taken = []
    for _ in range(3):
        start = time.process_time()
        st.bootstrap(logits, labels, "macro_f1", generator)
        taken.append(time.process_time() - start)
    assert min(taken) < 0.5


def test_what_cannot_be_is_refused():
    logits, labels = drawn(seeds=1)
    with pytest.raises(CompareError, match="One seed gives no variance between seeds"):
        st.bootstrap(logits, labels, "accuracy", rng(), over="both")
    with pytest.raises(CompareError, match="seeds first"):
        st.bootstrap(logits[0], labels, "accuracy", rng())
    with pytest.raises(CompareError, match="BCa"):
        st.bootstrap(logits, labels, "ece", rng(), method="bca")


# Tests


def test_mcnemar_is_that_of_statsmodels():
    for seed in range(5):
        a, b = rng(seed).random((2, 200)) < [[0.7], [0.62]]
        table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
        assert st.mcnemar(a, b).p == pytest.approx(contingency_tables.mcnemar(table, exact=True).pvalue)
    assert st.mcnemar(a, a).p == 1
    with pytest.raises(CompareError, match="same faces"):
        st.mcnemar([True], [True, False])


def test_paired_bootstrap_is_that_of_scipy():
    a, b = rng(2).random((2, 300)) < [[0.8], [0.7]]
    labels = np.ones(300, int)
    got, p = st.paired_bootstrap(as_logits(a)[None], as_logits(b)[None], labels, "accuracy", rng(), draws=6000)
    theirs = stats.bootstrap((a * 1.0 - b * 1.0,), np.mean, method="percentile", n_resamples=6000, rng=rng())
    expected = theirs.confidence_interval
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high), abs=0.007)
    assert p == pytest.approx(2 * np.mean(theirs.bootstrap_distribution <= 0), abs=0.01)
    far = st.paired_bootstrap(as_logits(a | True)[None], as_logits(b)[None], labels, "accuracy", rng())
    assert far[1] == pytest.approx(2 / 2001)


@pytest.mark.parametrize("seeds", [2, 5, 6, 12])
def test_sign_flip_is_that_of_scipy(seeds):
    d = rng(seeds).normal(0.5, 1, seeds)
    ours = st.sign_flip(d, rng())
    theirs = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert ours.p == pytest.approx(theirs.pvalue)
    assert ours.smallest == 2 / 2**seeds
    assert st.sign_flip(np.ones(seeds), rng()).p == ours.smallest


def test_sign_flip_of_many_seeds_draws():
    d = rng(1).normal(0.3, 1, 20)
    theirs = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=50_000, rng=rng())
    assert st.sign_flip(d, rng()).p == pytest.approx(theirs.pvalue, abs=0.02)
    certain = st.sign_flip(np.ones(20), rng())
    assert certain.p == certain.smallest == 1 / 4097


def test_corrected_resampled_t():
    d = rng(1).normal(0.02, 0.02, 10)
    assert st.corrected_resampled_t(d, 1, 0) == pytest.approx(tuple(stats.ttest_1samp(d, 0)))
    t, p = st.corrected_resampled_t(d, 900, 100)
    assert t == pytest.approx(stats.ttest_1samp(d, 0).statistic / math.sqrt(1 + 10 / 9))
    assert p == pytest.approx(2 * stats.t.sf(abs(t), 9))
    with pytest.raises(CompareError, match="two or more"):
        st.corrected_resampled_t([0.1], 9, 1)


def test_friedman_is_that_of_scipy_and_nemenyi_that_of_demsar():
    table = rng(4).normal(size=(12, 5)) + np.arange(5) * 0.5
    got = st.friedman_nemenyi(table)
    assert (got.statistic, got.p) == pytest.approx(tuple(stats.friedmanchisquare(*table.T)))
    assert got.mean_ranks.argmin() == 4
    assert got.mean_ranks.sum() == pytest.approx(15)
    for networks, q in [(3, 2.343), (5, 2.728), (10, 3.164)]:  # Demšar 2006, table 5a
        cd = st.friedman_nemenyi(rng().normal(size=(14, networks))).critical_difference
        assert cd == pytest.approx(q * math.sqrt(networks * (networks + 1) / (6 * 14)), rel=1e-3)
    gap = np.abs(got.mean_ranks[:, None] - got.mean_ranks)
    np.testing.assert_array_equal(gap > got.critical_difference, got.pairs < 0.05)
    assert st.friedman_nemenyi(np.ones((3, 3))).p == 1


def test_holm_by_hand():
    assert st.holm([0.01, 0.02, 0.04]) == pytest.approx([0.03, 0.04, 0.04])
    assert st.holm([0.5, 0.9]).max() <= 1
    assert st.holm([]).size == 0


def test_holm_is_that_of_statsmodels():
    rng = np.random.default_rng(0)
    for count in (1, 2, 9, 120):
        p = rng.random(count).round(2) ** 3  # with ties, zeros and ones
        np.testing.assert_array_equal(st.holm(p), multipletests(p, method="holm")[1])


# Power, and what bare accuracies can say


def test_mcnemar_faces_needed_reaches_the_power():
    n = st.mcnemar_faces_needed(0.14, 0.08)
    generator, found = rng(8), 0
    for _ in range(600):
        only_a, only_b, _ = generator.multinomial(n, [0.14, 0.08, 0.78])
        found += paired.split_p(only_a, only_b) < 0.05
    assert 0.73 < found / 600 < 0.85
    assert st.mcnemar_faces_needed(0.1, 0.1) is None


def test_seeds_needed_is_that_of_statsmodels():
    sd, mean, seeds = 0.012, 0.01, 5
    alone = st.Spread(mean=mean, faces=0, seeds=sd**2 / seeds, interplay=0, n_seeds=seeds, units=Units(1000))
    theirs = power.TTestPower().solve_power(effect_size=mean / sd, alpha=0.05, power=0.8)
    assert st.seeds_needed(alone) == math.ceil(theirs)
    assert alone.p == pytest.approx(2 * stats.t.sf(mean / (sd / math.sqrt(5)), 4))
    assert st.faces_needed(alone) is None
    faces = replace(alone, faces=sd**2 / 1000, seeds=0, n_seeds=1)
    theirs = power.TTestPower().solve_power(effect_size=0.001 / sd, alpha=0.05, power=0.8)
    assert st.faces_needed(replace(faces, mean=0.001)) == pytest.approx(theirs, abs=1)


def test_no_number_of_seeds_makes_up_for_too_few_faces():
    few = st.Spread(mean=0.01, faces=0.0001, seeds=0.00001, interplay=0.000005, n_seeds=5, units=Units(500))
    assert st.seeds_needed(few) is None
    assert st.faces_needed(few) > 500
    assert st.seeds_needed(replace(few, mean=0.0)) is None


def test_two_proportions_are_those_of_statsmodels():
    got = st.two_proportions(0.72, 0.70, 3000)
    assert got.p == pytest.approx(proportion.test_proportions_2indep(2160, 3000, 2100, 3000, method="score",
                                                                     correction=False).pvalue, rel=1e-3)  # fmt: skip
    assert got.interval.low < 0.02 < got.interval.high
    assert st.two_proportions(0.5, 0.5, 10).p == 1


def test_resolvable_difference_is_found_that_often():
    n = 2000
    gap = st.resolvable_difference(n, 0.7)
    generator = rng(3)
    hits = generator.binomial(n, [[0.7 + gap / 2], [0.7 - gap / 2]], (2, 400)) / n
    found = np.mean([st.two_proportions(a, b, n).p < 0.05 for a, b in hits.T])
    assert 0.73 < found < 0.87
    just = st.resolvable_difference(n, 0.7, power=0.5)
    assert st.two_proportions(0.7 + just / 2, 0.7 - just / 2, n).p == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(("first", "second", "n"), [(0.8, 0.7, 60), (0.7, 0.8, 60), (0.72, 0.70, 100), (1, 0.5, 40)])
def test_mcnemar_bounds_by_trying_every_table(first, second, n):
    a, b = round(first * n), round(second * n)
    tables = [(a - both, b - both) for both in range(max(0, a + b - n), min(a, b) + 1)]
    ps = {sum(t): contingency_tables.mcnemar([[0, t[0]], [t[1], 0]], exact=True).pvalue for t in tables}
    got = st.mcnemar_bounds(first, second, n)
    assert (got.smallest, got.largest) == pytest.approx((min(ps.values()), max(ps.values())))
    telling = [differing / n for differing, p in ps.items() if p < 0.05]
    assert got.telling == (pytest.approx(max(telling)) if telling else None)


# Verdicts


def test_a_plain_difference_is_told_and_bold():
    good, labels = drawn(gain=1.0)
    poor, _ = drawn(seed=1)
    verdict = st.compare_pair(good, poor, labels, rng(), names=("vgg16", "resnet34"))
    assert verdict.better == "a"
    assert verdict.sentence.startswith("vgg16 is better than resnet34. vgg16 − resnet34: +")
    assert "3 seeds each, 300 faces" in verdict.sentence
    means = [np.mean([metrics.scores(one, labels).accuracy for one in runs]) for runs in (good, poor)]
    assert verdict.effect == pytest.approx(means[0] - means[1])
    assert verdict.interval.low < verdict.effect < verdict.interval.high
    assert verdict.sign_flip.smallest == 0.25
    turned = st.compare_pair(poor, good, labels, rng(), names=("resnet34", "vgg16"))
    assert turned.better == "b"
    assert turned.p == pytest.approx(verdict.p, rel=0.5)


def test_lower_is_better_for_losses():
    good, labels = drawn(gain=1.0)
    poor, _ = drawn(seed=1)
    verdict = st.compare_pair(good, poor, labels, rng(), metric="nll")
    assert verdict.effect < 0
    assert verdict.better == "a"


def test_equal_networks_are_not_told_and_the_price_is_named():
    a, labels = drawn(seeds=4)
    b, _ = drawn(seeds=4, seed=2)
    verdict = st.compare_pair(a, b, labels, rng())
    assert verdict.better is None
    assert verdict.sentence.startswith("This data cannot tell.")
    assert "would" in verdict.sentence or "Showing so small a difference" in verdict.sentence
    same = st.compare_pair(a, a, labels, rng())
    assert (same.p, same.effect, same.better) == (1, 0, None)
    assert "The two are tied." in same.sentence


def test_one_seed_is_mcnemar_and_says_what_it_leaves_out():
    (a, labels), (b, _) = drawn(seeds=1, gain=0.5), drawn(seeds=1, seed=2)
    verdict = st.compare_pair(a, b, labels, rng())
    right = [x[0].argmax(1) == labels for x in (a, b)]
    assert verdict.p == st.mcnemar(*right).p
    assert "one seed does not show the variance of training" in verdict.sentence
    assert verdict.seeds_needed is None
    clustered = st.compare_pair(a, b, labels, rng(), subjects=np.arange(300) // 10)
    assert not clustered.by_mcnemar
    assert clustered.spread.units == Units(30, "subjects")
    assert clustered.interval.method.startswith("bootstrap standard error over subjects")


def test_all_pairs_are_corrected_together():
    (a, labels), (b, _), (c, _) = drawn(), drawn(seed=1), drawn(seed=2, gain=1.0)
    verdicts = st.compare_all({"a": a, "b": b, "c": c}, labels, rng())
    assert [(v.a, v.b) for v in verdicts] == [("a", "b"), ("a", "c"), ("b", "c")]
    np.testing.assert_allclose([v.p_corrected for v in verdicts], st.holm([v.p for v in verdicts]))
    assert [v.better for v in verdicts] == [None, "b", "b"]
    assert all("corrected p" in v.sentence for v in verdicts)


def test_networks_that_do_not_pair_are_refused():
    (a, labels), (b, _) = drawn(seeds=3), drawn(seeds=2)
    with pytest.raises(CompareError, match="same seeds, faces and classes"):
        st.compare_pair(a, b, labels, rng())
    with pytest.raises(CompareError, match="macro_auc is undefined"):
        st.compare_pair(a, a, np.ones_like(labels), rng(), metric="macro_auc")
    assert np.isnan(st.bootstrap(a, np.ones_like(labels), "macro_auc", rng()).low)


def size(seeds, seed_sd, replicates, level=0.95):
    """How often two equally good networks are told apart."""
    generator, labels, told = rng(31), np.ones(200, int), 0
    for _ in range(replicates):
        a, b = as_logits(crossed(generator, seeds, 200, seed_sd))
        told += st.compare_pair(a, b, labels, generator, draws=200, level=level).better is not None
    return told / replicates


@pytest.mark.parametrize(("seeds", "seed_sd"), [(1, 0.0), (3, 0.3), pytest.param(5, 0.3, marks=pytest.mark.long)])
def test_size_of_the_verdict(seeds, seed_sd):
    assert size(seeds, seed_sd, 200) < stats.binom.ppf(0.999, 200, 0.06) / 200


@pytest.mark.long
def test_size_of_the_verdict_in_many_worlds():
    for seeds, seed_sd in itertools.product((3, 5, 10), (0.0, 0.3, 0.6)):
        assert size(seeds, seed_sd, 1500) < (0.09 if seeds == 3 else 0.075)
    assert size(2, 0.6, 1500) < 0.12  # one degree of freedom: why the docs say five


@pytest.mark.parametrize("module", [paired, resampling, st.power, st.intervals, st.verdicts])
def test_examples(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(("seeds", "share_right", "scatter"), [(2, 0.2, 0.6), (3, 0.9, 1.5), (5, 0.9, 1.5)])
def test_intervals_of_shares_stay_inside_and_hold_the_truth(seeds, share_right, scatter):
    """On the logit's scale, against the same interval with its ends cut off; 300 studies of 200 faces."""
    generator = rng(5)
    offsets = np.linspace(-10, 10, 4001)
    wide = generator.normal(0, math.hypot(1, scatter), 4000)
    means = np.array([special.expit(offset + wide).mean() for offset in offsets[::40]])
    offset = np.interp(share_right, means, offsets[::40])
    held = cut = 0
    for _ in range(300):
        ability = offset + generator.normal(0, 1, 200) + generator.normal(0, scatter, (seeds, 1))
        right = (generator.random((seeds, 200)) < special.expit(ability)).astype(np.float32)
        counts = generator.multinomial(200, np.full(200, 1 / 200), size=200).astype(np.float32) / 200
        found = st.spread(right.mean(axis=1), counts @ right.T, Units(200))
        inside, plain = found.interval(bounds=st.SHARE), found.interval().within(0.0, 1.0)
        assert 0 <= inside.low <= found.mean <= inside.high <= 1
        held += inside.low <= share_right <= inside.high
        cut += plain.low <= share_right <= plain.high
    assert held >= cut - 3, "one study in a hundred is chance"
    assert held / 300 > (0.84 if seeds == 2 else 0.87)


def test_an_interval_of_all_right_or_all_wrong_has_a_width():
    for value in (0.0, 1.0):
        interval = st.spread([value, value], np.full((50, 2), value), Units(20)).interval(bounds=st.SHARE)
        assert interval.high - interval.low == pytest.approx(0.161, abs=0.001)
        assert interval.low <= value <= interval.high


def test_an_interval_wider_than_half_the_scale_is_of_no_use():
    two = st.spread([0.1, 0.34], np.array([[0.1, 0.34], [0.11, 0.33]] * 20), Units(200))
    assert not two.interval(bounds=st.SHARE).useful
    assert not two.interval(bounds=st.GAP).useful
    close = st.spread([0.2, 0.21], np.array([[0.2, 0.21], [0.19, 0.22]] * 20), Units(200))
    assert close.interval(bounds=st.SHARE).useful
