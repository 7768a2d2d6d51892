"""`r1 watch`: a local page on run folders, live while they train and the same afterwards.

The page is served from the files of the run folder alone (docs/runs.md), which it only reads: a run
does not know whether someone watches it. The page's own files are in static/ and need no build.
"""
