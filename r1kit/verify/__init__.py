"""Is this text right? Verdicts from text alone, bounded in time, with no eval of anybody's text."""
