"""A prediction through the adapter that is the default."""

import dspy

from weather import MODEL

dspy.configure(lm=dspy.LM(f"openai/{MODEL}"))
assert dspy.Predict("question -> answer")(question="2 + 3 = ?").answer == "5"
