"""The same conversation twice: word for word, or nearly.

Nearly: by MinHash over shingles of words, with datasketch's LSH index to find whom to compare
with. The index only proposes; what decides is the estimated Jaccard similarity, so that the
threshold is the one that is said. The first of each kind stays: the result depends on the order and
nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from datasketch import MinHash, MinHashLSH

from r1kit.curate.candidate import Candidate
from r1kit.curate.filter_pipeline import Rejection
from r1kit.curate.words import ngrams, words

SHINGLE = 5
"""words; signs of arithmetic count"""
N_PERMUTATIONS = 128
"""hash functions: the standard error of a similarity of 0.8 is 0.035"""
SEED = 1
"""of the hash functions"""
HIGHEST_INDEXED = 0.9
"""threshold of the index at most: above, it has too few bands; proposing more is no mistake"""
MISSES_WEIGH = 0.9
"""against proposals in vain, when the index chooses its bands: those cost a comparison only"""


def exact_copies(drafts: Sequence[Candidate]) -> list[Rejection | None]:
    """Takes drafts whose words and signs are those of an earlier one."""
    first: dict[bytes, str] = {}
    remarks: list[Rejection | None] = []
    for draft in drafts:
        whole = " ".join(words(draft.text, with_signs=True))
        key = hashlib.blake2b(whole.encode("utf-8", "replace"), digest_size=16).digest()
        earlier = first.get(key)
        remarks.append(None if earlier is None else Rejection("the same words", f"as {earlier}"))
        first.setdefault(key, draft.rollout.problem.id)
    return remarks


def near_copies(drafts: Sequence[Candidate], threshold: float) -> list[Rejection | None]:
    """Takes drafts at least `threshold` similar to an earlier one that stayed."""
    weights = (1 - MISSES_WEIGH, MISSES_WEIGH)
    index = MinHashLSH(
        threshold=min(threshold, HIGHEST_INDEXED), num_perm=N_PERMUTATIONS, weights=weights
    )
    kept: dict[int, MinHash] = {}
    remarks: list[Rejection | None] = []
    for place, draft in enumerate(drafts):
        sketch = _sketch(draft.text)
        similar = [(sketch.jaccard(kept[other]), -other) for other in index.query(sketch)]
        similarity, other = max(similar, default=(0.0, 0))
        if similarity >= threshold:
            earlier = drafts[-other].rollout.problem.id
            remarks.append(Rejection("nearly the same", f"{similarity:.0%} as {earlier}"))
            continue
        remarks.append(None)
        kept[place] = sketch
        index.insert(place, sketch)
    return remarks


def _sketch(text: str) -> MinHash:
    tokens = words(text, with_signs=True)
    shingles = ngrams(tokens, SHINGLE) or [tuple(tokens)]
    sketch = MinHash(num_perm=N_PERMUTATIONS, seed=SEED, scheme="affine32")
    sketch.update_batch([" ".join(shingle).encode("utf-8", "replace") for shingle in shingles])
    return sketch
