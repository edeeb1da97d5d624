"""Register a model with the offers that serve it; it is findable at once.

Needs a running server (TOOLCRIB_URL) and, where keys are configured, an administrator's
(TOOLCRIB_API_KEY).
"""

from toolcrib_clients import Toolcrib

MODEL = {
    "name": "acme/summarizer-7b",
    "description": "Summarises long legal contracts in plain English.",
    "descriptor": {
        # A plain value means: said here, today. Whole facts name their own source and date.
        "license": "Apache-2.0",
        "parametersB": 7,
        "contextTokens": 131072,
        "toolCall": {"value": True, "source": "model card", "asOf": "2026-10-01"},
        # Left out is unknown, and an unknown field never passes a hard limit.
    },
    "offers": [
        {
            "provider": "acme",
            "endpoint": "https://models.example.com/v1",
            "apiKey": "${ACME_API_KEY}",
            "priceInUsd": 0.1,
            "priceOutUsd": 0.4,
        }
    ],
}


def main() -> None:
    """Register the model, or bring it up to date, and find it."""
    with Toolcrib() as crib:
        model = crib.put_model(MODEL)
        print(f"{model.name} is registered, revision {model.revision}.")
        (hit,) = crib.search("make sense of a long contract", kinds=["model"], k=1).hits
        print(f"The model for a long contract: {hit.name}")


if __name__ == "__main__":
    main()
