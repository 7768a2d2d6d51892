"""The question, the tool and the model's name that the programs share."""

MODEL = "tiny"
QUESTION = "How is the weather in Paris?"
MESSAGES = [{"role": "user", "content": QUESTION}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}


def weather(city: str) -> str:
    """Return the weather of a city.

    Args:
        city: name of the city.
    """
    assert city == "Paris"
    return "sunny"
