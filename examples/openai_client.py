"""Use Toolcrib through OpenAI's own client: list models, embed, and have the right model answer.

Needs ``pip install openai`` and a running server (TOOLCRIB_URL, and TOOLCRIB_API_KEY where keys are
configured). Without a model that can be called, it says so.
"""

import os

from openai import APIStatusError, OpenAI

url = os.environ.get("TOOLCRIB_URL", "http://127.0.0.1:8321")
key = os.environ.get("TOOLCRIB_API_KEY", "none")
client = OpenAI(base_url=f"{url}/v1", api_key=key)

for model in client.models.list():
    print(f"{model.id} ({model.owned_by})")

near = client.embeddings.create(model="toolcrib", input=["a long contract", "a recipe"])
print(f"{len(near.data)} vectors of {len(near.data[0].embedding)} numbers")

try:
    stream = client.chat.completions.create(
        model="auto:cheapest",
        messages=[{"role": "user", "content": "Say good morning in French."}],
        stream=True,
        extra_body={"toolcrib": {"constraints": {"maxPriceInUsd": 1}}},
    )
    print("chosen:", stream.response.headers["x-toolcrib-model"])
    for chunk in stream:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()
except APIStatusError as error:
    print(error.message)
