"""Deduplication of conversations: exact copies and near copies.

Near copies are found by MinHash over shingles of words, with datasketch's LSH index for candidate
pairs. The index only proposes pairs; the estimated Jaccard similarity decides, so that the
configured threshold holds. The first copy stays: the result depends on nothing but the order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from datasketch import MinHash, MinHashLSH

from r1kit.curate.candidate import Candidate
from r1kit.curate.filter_pipeline import Rejection
from r1kit.curate.words import ngrams, words

SHINGLE = 5
"""words per shingle, arithmetic signs included"""
N_PERMUTATIONS = 128
"""number of hash functions: the standard error of a similarity of 0.8 is 0.035"""
SEED = 1
"""seed of the hash functions"""
HIGHEST_INDEXED = 0.9
"""highest threshold of the index: above, it has too few bands; extra proposals do no harm"""
MISSES_WEIGH = 0.9
"""weight of false negatives against false positives (which only cost a comparison) when the index
chooses its bands"""


def exact_copies(candidates: Sequence[Candidate]) -> list[Rejection | None]:
    """Reject candidates with the same words and signs as an earlier one."""
    first: dict[bytes, str] = {}
    remarks: list[Rejection | None] = []
    for candidate in candidates:
        whole = " ".join(words(candidate.text, with_signs=True))
        key = hashlib.blake2b(whole.encode("utf-8", "replace"), digest_size=16).digest()
        earlier = first.get(key)
        remarks.append(None if earlier is None else Rejection("the same words", f"as {earlier}"))
        first.setdefault(key, candidate.rollout.problem.id)
    return remarks


def near_copies(candidates: Sequence[Candidate], threshold: float) -> list[Rejection | None]:
    """Reject candidates with a similarity of at least `threshold` to an earlier one that stayed."""
    weights = (1 - MISSES_WEIGH, MISSES_WEIGH)
    index = MinHashLSH(
        threshold=min(threshold, HIGHEST_INDEXED), num_perm=N_PERMUTATIONS, weights=weights
    )
    sketches: dict[int, MinHash] = {}
    remarks: list[Rejection | None] = []
    for position, candidate in enumerate(candidates):
        sketch = _sketch(candidate.text)
        similar = [(sketch.jaccard(sketches[other]), -other) for other in index.query(sketch)]
        similarity, other = max(similar, default=(0.0, 0))
        if similarity >= threshold:
            earlier = candidates[-other].rollout.problem.id
            remarks.append(Rejection("nearly the same", f"{similarity:.0%} as {earlier}"))
            continue
        remarks.append(None)
        sketches[position] = sketch
        index.insert(position, sketch)
    return remarks


def _sketch(text: str) -> MinHash:
    tokens = words(text, with_signs=True)
    shingles = ngrams(tokens, SHINGLE) or [tuple(tokens)]
    sketch = MinHash(num_perm=N_PERMUTATIONS, seed=SEED, scheme="affine32")
    sketch.update_batch([" ".join(shingle).encode("utf-8", "replace") for shingle in shingles])
    return sketch
