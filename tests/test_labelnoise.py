"""Label noise: planted errors are found, the estimate matches the published one, votes and curves are plain means."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cleanlab.count import estimate_joint
from scipy import stats

from made_runs import finish, make_runs, make_store
from mien.calibration import fit_temperature, log_softmax, softmax
from mien.compare import collect
from mien.config import NetworkSettings, override, read_recipe
from mien.crop import CropSpec
from mien.data.splits import divide
from mien.data.store import Sample, Store, create_store
from mien.errors import CompareError
from mien.examine.labelnoise import OutOfSample, agreement, find_issues, noise_curves, out_of_sample
from mien.labels import SEVEN, LabelSet
from mien.models import NETWORKS
from mien.report import as_json
from mien.runs import Logits, Run
from mien.statistics import holm

CLASSES = ("anger", "fear", "joy", "sadness")


def planted(rng: np.random.Generator, n: int, noise: float, skill: float = 4.0) -> tuple[OutOfSample, np.ndarray]:
    """Probabilities of a network that knows the true labels well, and the labels after symmetric noise."""
    truth = np.arange(n) % 4
    logits = rng.normal(0, 1, (n, 4))
    logits[np.arange(n), truth] += skill
    wrong = rng.random(n) < noise
    labels = np.where(wrong, (truth + rng.integers(1, 4, n)) % 4, truth)
    seen = OutOfSample(
        ids=np.arange(100, 100 + n),
        labels=labels,
        probs=softmax(logits),
        subjects=np.full(n, ""),
        classes=CLASSES,
        runs=("a",),
    )
    return seen, wrong


def test_planted_errors_are_found_and_counted() -> None:
    seen, wrong = planted(np.random.default_rng(0), 2000, 0.1)
    issues = find_issues(seen, np.random.default_rng(1))
    found = issues.ids - 100
    assert wrong[found].mean() > 0.85
    assert wrong[found].sum() / wrong.sum() > 0.85
    assert issues.share.interval.low < wrong.mean() < issues.share.interval.high
    assert issues.share.interval.high - issues.share.interval.low < 0.05
    assert (issues.given != issues.suggested).all()
    assert (np.diff(issues.given_probability) >= 0).all()
    assert (issues.suggested_probability > issues.given_probability).all()
    assert issues.n == 2000


def test_clean_labels_are_left_alone() -> None:
    seen, _ = planted(np.random.default_rng(2), 1000, 0.0, skill=9.0)
    issues = find_issues(seen, np.random.default_rng(3))
    assert len(issues.ids) <= 2
    assert issues.share.value < 0.005


def test_the_joint_is_the_published_one() -> None:
    """Northcutt 2021, eq. 1 and 3: counts above each class's mean self-confidence, then calibrated by row."""
    seen, _ = planted(np.random.default_rng(4), 900, 0.2, skill=2.5)
    thresholds = np.array([seen.probs[seen.labels == k, k].mean() for k in range(4)])
    counts = np.zeros((4, 4))
    for probs, label in zip(seen.probs, seen.labels, strict=True):
        above = np.flatnonzero(probs >= thresholds - 1e-6)
        if len(above):
            counts[label, above[probs[above].argmax()]] += 1
    prior = np.bincount(seen.labels)
    joint = counts / counts.sum(1, keepdims=True) * prior[:, None]
    joint /= joint.sum()
    issues = find_issues(seen, np.random.default_rng(5))
    np.testing.assert_allclose(issues.joint, joint, atol=0.003)
    assert issues.share.value == pytest.approx(1 - np.trace(joint), abs=0.005)


def test_whole_subjects_are_redrawn() -> None:
    """If whole subjects are mislabelled, the share is far less certain."""
    rng = np.random.default_rng(6)
    seen, _ = planted(rng, 1000, 0.0)
    subjects = np.repeat([f"s{i}" for i in range(20)], 50)
    bad = np.isin(subjects, ["s3", "s11"])
    labels = np.where(bad, (seen.labels + 1) % 4, seen.labels)
    by_face = find_issues(replace(seen, labels=labels), rng).share.interval
    by_subject = find_issues(replace(seen, labels=labels, subjects=subjects), rng).share.interval
    assert by_subject.high - by_subject.low > 2 * (by_face.high - by_face.low)


def said_of_all(skill: float, noise: float) -> np.ndarray:
    """The joint that confident learning finds in very many faces."""
    many, _ = planted(np.random.default_rng(20), 200_000, noise, skill)
    return np.asarray(estimate_joint(many.labels, many.probs))


@pytest.mark.long
@pytest.mark.parametrize(("skill", "noise"), [(6.0, 0.02), (4.0, 0.1), (2.0, 0.3)])
def test_the_share_and_each_pair_hold_what_the_networks_would_say_of_all_faces(skill: float, noise: float) -> None:
    rng, joint, hits, pairs = np.random.default_rng(21), said_of_all(skill, noise), 0, np.zeros((4, 4))
    for _ in range(200):
        found = find_issues(planted(rng, 400, noise, skill)[0], rng)
        hits += found.share.interval.low <= 1 - np.trace(joint) <= found.share.interval.high
        pairs += (found.joint_low <= joint) & (joint <= found.joint_high)
    assert hits / 200 > 0.90
    assert pairs[~np.eye(4, dtype=bool)].min() / 200 > 0.88, pairs / 200


def test_what_poor_networks_say_is_not_the_true_share() -> None:
    said = [1 - np.trace(said_of_all(skill, 0.1)) for skill in (4.0, 2.0, 1.2)]
    assert said == pytest.approx([0.10, 0.16, 0.38], abs=0.005)  # they agree with 89, 75 and 56 % of the labels


@pytest.mark.long
def test_below_the_trusted_agreement_doubts_are_the_networks_own() -> None:
    """No label is wrong here. The weaker the network, the more labels confident learning would call wrong."""
    rng, n = np.random.default_rng(0), 2000
    labels, hardness = np.arange(n) % 7, rng.normal(0, 1.3, n)
    blank, _ = planted(rng, n, 0.0)
    claimed = []
    for skill in (1.5, 1.9, 2.4, 3.5):
        logits = rng.normal(0, 1, (n, 7))
        logits[np.arange(n), labels] += skill - hardness
        probs = softmax(logits / fit_temperature(logits, labels))
        issues = find_issues(replace(blank, labels=labels, probs=probs, classes=SEVEN.names), np.random.default_rng(1))
        claimed.append((round(issues.accuracy, 2), issues.share.value, issues.weak))
    assert [agreement for agreement, _, _ in claimed] == pytest.approx([0.55, 0.66, 0.75, 0.91], abs=0.02)
    assert [share for _, share, _ in claimed] == pytest.approx([0.31, 0.17, 0.09, 0.01], abs=0.02)
    assert [weak for _, _, weak in claimed] == [True, False, False, False]


def test_a_class_without_faces_is_refused() -> None:
    seen, _ = planted(np.random.default_rng(7), 100, 0.0)
    with pytest.raises(CompareError, match="no face outside the training part"):
        find_issues(replace(seen, labels=np.minimum(seen.labels, 2)), np.random.default_rng(0))


@pytest.mark.parametrize("faces", [1, 2, 3])
def test_a_class_of_few_faces_gives_no_warning_and_is_named_where_it_is_not_doubted(faces: int) -> None:
    seen, _ = planted(np.random.default_rng(7), 100, 0.0)
    kept = np.flatnonzero((seen.labels != 3) | (np.cumsum(seen.labels == 3) <= faces))
    few = replace(seen, **{key: getattr(seen, key)[kept] for key in ("ids", "labels", "probs", "subjects")})
    issues = find_issues(few, np.random.default_rng(0))
    assert issues.single == (("sadness",) if faces == 1 else ())
    assert not (issues.single and (issues.given == 3).any())


def test_classes_too_small_to_be_redrawn_together_are_refused() -> None:
    rng, classes = np.random.default_rng(0), tuple("abcdefghijklmnopqrstuvwxyz")
    seen = OutOfSample(
        ids=np.arange(26),
        labels=np.arange(26),
        probs=softmax(rng.normal(0, 1, (26, 26))),
        subjects=np.full(26, ""),
        classes=classes,
        runs=("a",),
    )
    with pytest.raises(CompareError, match="so few faces outside the training part"):
        find_issues(seen, rng)


def test_probabilities_are_averaged_over_runs_that_did_not_train_on_the_face(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    runs = make_runs(tmp_path / "runs", store, networks=("vgg16", "resnet34"), dropouts=(0.0,))
    seen = out_of_sample(runs)
    np.testing.assert_array_equal(seen.ids, np.sort(np.append(store.rows("valid"), store.rows("test"))))
    np.testing.assert_array_equal(seen.labels, store.samples.label[seen.ids])
    test = [run.logits("test") for run in runs]
    expected = (softmax(test[0].logits) + softmax(test[1].logits)) / 2
    np.testing.assert_allclose(seen.probs[np.isin(seen.ids, test[0].ids)], expected)
    other = make_runs(tmp_path / "others", make_store(tmp_path / "other", test=70), networks=("vgg16",))
    with pytest.raises(CompareError, match="different data"):
        out_of_sample([*runs, *other])


def voted(rng: np.random.Generator, n: int, seeds: int = 1) -> tuple[list[Logits], np.ndarray]:
    votes = rng.multinomial(10, [0.4, 0.3, 0.2, 0.1], n) / 10
    tests = [
        Logits(
            ids=np.arange(0, 2 * n, 2),
            labels=votes.argmax(1),
            logits=rng.normal(0, 1, (n, 4)).astype(np.float32),
            subjects=np.full(n, ""),
            groups={},
        )
        for _ in range(seeds)
    ]
    return tests, votes


def test_agreement_is_what_the_definitions_say() -> None:
    tests, votes = voted(np.random.default_rng(8), 300, seeds=2)
    found = agreement("net", tests, votes, np.random.default_rng(0))
    answers = [test.logits.argmax(1) for test in tests]
    mass = np.mean([votes[np.arange(300), answer] for answer in answers])
    majority = np.mean([votes[np.arange(300), answer] >= votes.max(1) for answer in answers])
    divergence = np.mean([stats.entropy(votes, softmax(test.logits), axis=1) for test in tests])
    cross = np.mean([-(votes * log_softmax(test.logits)).sum(1) for test in tests])
    assert found.mass.value == pytest.approx(mass)
    assert found.majority.value == pytest.approx(majority)
    assert found.divergence.value == pytest.approx(divergence, rel=1e-6)
    assert found.cross_entropy.value == pytest.approx(cross)
    assert found.ceiling.value == pytest.approx(votes.max(1).mean())
    assert found.entropy.value == pytest.approx(stats.entropy(votes, axis=1).mean())
    for figure in (found.mass, found.majority, found.divergence):
        assert figure.interval.low < figure.value < figure.interval.high


def test_a_network_that_says_the_votes_diverges_by_nothing() -> None:
    tests, votes = voted(np.random.default_rng(9), 100)
    exact = replace(tests[0], logits=np.log(votes + 1e-9))
    found = agreement("net", [exact], votes, np.random.default_rng(0))
    assert found.divergence.value == pytest.approx(0, abs=1e-6)
    assert found.mass.value == pytest.approx(found.ceiling.value)
    assert found.majority.value == 1


def test_divergence_interval_holds_the_truth_19_times_in_20() -> None:
    tests, votes = voted(np.random.default_rng(10), 40_000)
    each = stats.entropy(votes, softmax(tests[0].logits), axis=1)
    hits = 0
    for trial in range(120):
        rows = np.random.default_rng(trial).choice(40_000, 120, replace=False)
        sample = replace(tests[0], ids=tests[0].ids[rows], logits=tests[0].logits[rows], subjects=np.full(120, ""))
        interval = agreement("net", [sample], votes[rows], _rng(trial)).divergence.interval
        hits += interval.low <= each.mean() <= interval.high
    assert 0.89 <= hits / 120 <= 0.99


@pytest.mark.long
@pytest.mark.parametrize(("seeds", "seed_sd"), [(1, 0.0), (3, 0.3)])
def test_agreement_holds_the_truth_over_faces_and_seeds(seeds: int, seed_sd: float) -> None:
    """A network sees the votes through noise, some faces more clearly than others, and some seeds than others."""

    def seen(count: int, trained: int) -> tuple[np.ndarray, np.ndarray]:
        votes = rng.multinomial(10, [0.4, 0.3, 0.2, 0.1], count) / 10
        clear, skill = rng.normal(3, 1, (count, 1)), rng.normal(0, seed_sd, (trained, 1, 1))
        return (skill + clear) * votes + rng.normal(0, 1, (trained, count, 4)), votes

    rng = _rng(30)
    logits, votes = seen(4000, 200)
    mass = np.take_along_axis(np.broadcast_to(votes, logits.shape), logits.argmax(-1)[..., None], -1)[..., 0]
    cross = np.mean([-(votes * log_softmax(z)).sum(1) for z in logits])
    truth = {"majority": (mass >= votes.max(1)).mean(), "mass": mass.mean(), "cross_entropy": cross}
    hits = dict.fromkeys(truth, 0)
    for _ in range(200):
        logits, votes = seen(150, seeds)
        like = Logits(
            ids=np.arange(150), labels=votes.argmax(1), logits=logits[0], subjects=np.full(150, ""), groups={}
        )
        found = agreement("net", [replace(like, logits=z) for z in logits], votes, rng)
        for name in truth:
            interval = getattr(found, name).interval
            hits[name] += interval.low <= truth[name] <= interval.high
    assert all(hit / 200 > 0.90 for hit in hits.values()), hits


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_curves_pair_each_noise_with_none(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", train=700)
    runs = []
    for noise in (0.0, 0.2, 0.3):
        for seed in (0, 1, 2):
            changes = {"data.label_noise": noise, "seed": seed, "train.epochs": 5, "model.name": "resnet34"}
            settings = override(NetworkSettings(), changes).resolved(store.meta.crop)
            fold = divide(store, settings.data)
            runs.append(finish(Run.create(tmp_path / "runs", settings, store, fold), fold))
    rows = collect(runs, vary=["data.label_noise"]).rows
    points = noise_curves(rows, _rng(0))
    assert [(p.curve, p.noise) for p in points] == [("resnet34", 0.0), ("resnet34", 0.2), ("resnet34", 0.3)]
    means = [
        np.mean([s.accuracy for s in row.scores]) for row in sorted(rows, key=lambda r: r.factors["data.label_noise"])
    ]
    assert [p.spread.mean for p in points] == pytest.approx(means)
    assert points[0].drop is None
    drops = [p.drop for p in points[1:] if p.drop]
    assert [d.mean for d in drops] == pytest.approx([m - means[0] for m in means[1:]])
    assert [p.p_corrected for p in points[1:]] == pytest.approx(holm([d.p for d in drops]).tolist())
    assert points[1].valid_accuracy.shape == (5,)
    first = [run.history[0].train_accuracy for run in runs[:3]]
    assert points[0].train_accuracy[0] == pytest.approx(np.mean(first))


def test_rows_without_noise_give_no_curve(tmp_path: Path) -> None:
    runs = make_runs(tmp_path / "runs", make_store(tmp_path / "store"), networks=("vgg16",))
    assert noise_curves(collect(runs).rows, _rng(0)) == ()


def test_the_recipe_is_a_grid_over_noise() -> None:
    cells = list(read_recipe("noise").cells())
    assert len(cells) == 24
    assert {cell.data.label_noise for cell in cells} == {0.0, 0.1, 0.2, 0.3}
    assert {cell.model.name for cell in cells} <= set(NETWORKS)
    assert {cell.model.width for cell in cells if cell.model.name == "resnet34"} == {0.25}


@pytest.mark.parametrize("protocol", ["holdout", "kfold"])
@pytest.mark.parametrize("counts", [(20, 20, 1), (20, 20, 2)], ids=["one face", "two faces"])
def test_a_report_over_a_tiny_class_is_made_without_a_warning(
    counts: tuple[int, ...], protocol: str, tmp_path: Path
) -> None:
    """Figures of what the class cannot say are nan, and null in `report.json`; warnings are errors here."""
    with create_store(tmp_path / "store", LabelSet(("anger", "fear", "joy")), CropSpec(size=8)) as writer:
        rng = np.random.default_rng(0)
        for split in ("train", "test"):
            for label, count in enumerate(counts):
                for i in range(count):
                    image = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                    writer.add(Sample(label=label, split=split, source=f"{split}/{label}/{i}"), face=image)
        writer.finish(corpus="tiny", licence="made for tests")
    store, runs = Store.open(tmp_path / "store"), []
    for fold in range(3 if protocol == "kfold" else 1):
        changes = {"data.protocol": protocol, "data.folds": 3, "data.fold": fold, "train.epochs": 2}
        settings = override(NetworkSettings(), changes).resolved(store.meta.crop)
        parts = divide(store, settings.data)
        runs.append(finish(Run.create(tmp_path / "runs", settings, store, parts), parts))
    said = as_json(collect(runs))
    assert [row["name"] for row in said["rows"]] == ["resnet34"]
    json.dumps(said, allow_nan=False)
