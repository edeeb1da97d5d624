"""What a cascade's checks said is kept of its models; a check that failed itself says nothing."""

from pathlib import Path

import pytest

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.types import Model
from toolcrib_server.cascade.climbing import Step
from toolcrib_server.cascade.memory import CascadeMemory
from toolcrib_server.cascade.verdicts import CheckKind, Verdict
from toolcrib_server.runtime import open_runtime
from toolcrib_server.settings import Settings

pytestmark = pytest.mark.anyio


async def test_an_answer_whose_check_failed_itself_teaches_nothing_of_its_model(
    desk, tmp_path: Path
):
    answered = await desk.invoker.chat(desk.order("ok"))
    no = Verdict(kind=CheckKind.PATTERN, score=0.0, detail="it is not found")
    unmade = Verdict(kind=CheckKind.JUDGE, score=0.0, detail="it could not judge", made=False)
    steps = [
        Step(model="checked", answered=answered, verdicts=(no,)),
        Step(model="unjudged", answered=answered, verdicts=(unmade,)),
        Step(model="failed"),
    ]
    settings = Settings(data_dir=tmp_path, cache_dir=tmp_path / "cache")
    async with open_runtime(settings, open_encoder=HashEncoder) as runtime:
        models = [Model(name=step.model, description=step.model) for step in steps]
        runtime.store.put_models(models, actor="test")
        memory = CascadeMemory(runtime.store, runtime.routing)
        await memory.record("local", "What is 17 * 23?", steps)
        kept = runtime.store.routing.list_outcomes("local")
        assert [(one.model, one.score) for one in kept] == [("checked", 0.0)]
