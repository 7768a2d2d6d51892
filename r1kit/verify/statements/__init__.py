"""How a text states its answer, in English, Korean and Chinese; shared by all verifiers.

    text      = [ "<answer>" ] { sentence } [ "</answer>" ]      the last tag is the whole text
    sentence  = box { separator box } | marker clause | judged letter | closing clause
    stance    = denied | supposed | asked | doubted | asserted

Only an asserted statement counts, the last one of the strongest form counts, and a later sentence
can take it back. boxes.py finds boxes and tags, sentences.py divides a text, stance.py classifies
clauses, markers.py has the words before an answer. None of them knows what is asked for: a value
(math/extract.py), a letter (choice.py) or words (exact.py).
"""
