"""Examines finished runs beyond accuracy: robustness, groups of people, wrong labels and other corpora.

In: run folders, or the rows of a comparison. Out: frozen facts with intervals, which `mien.report` shows.

    robustness, corruptions   damaged faces, after Hendrycks & Dietterich
    groups                    figures and gaps of groups of people
    labelnoise, doubts        labels that are probably wrong, annotators' votes, injected noise
    across                    trained on one corpus, tested on others
"""
