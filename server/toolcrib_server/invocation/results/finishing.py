"""What becomes of a result before it is handed on: kept, held against its promise, cut to size."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio.to_thread

from toolcrib_registry.errors import InvalidResult
from toolcrib_server.invocation.errands.errand import CALL, Account, Errand
from toolcrib_server.invocation.rules.policy import OutputCheck
from toolcrib_server.invocation.traffic.meter import PathMeter

from .cache import ResultCache
from .cutting import cut, read_whole, weigh
from .marking import marked
from .shelf import ResultShelf


class Finish:
    """The steps after an answer. Belongs to the event loop."""

    def __init__(self, meter: PathMeter) -> None:
        self._meter = meter
        self.cache = ResultCache()
        self.shelf = ResultShelf()

    def find_kept(self, errand: Errand, account: Account) -> dict[str, Any] | None:
        """Find an earlier result that may answer this errand too."""
        key = self.cache.key_of(errand)
        if key is None:
            return None
        kept = self.cache.find(key)
        account.from_cache = kept is not None
        sums = self._meter.cache_misses if kept is None else self._meter.cache_hits
        sums[errand.target.server.name] += 1
        return kept

    def keep(self, result: dict[str, Any], errand: Errand) -> None:
        """Keep a result for the next to ask the same, where the policy says so."""
        key = self.cache.key_of(errand)
        if key is not None:
            self.cache.keep(key, result, ttl_s=errand.target.policy.cache_s)

    def check(self, result: dict[str, Any], errand: Errand, account: Account) -> dict[str, Any]:
        """Hold a result against what its tool promises of it.

        Raises:
            InvalidResult: It breaks the promise, and the policy is to refuse that.
        """
        target = errand.target
        problems = target.result.find_problems(result) if target.result is not None else ()
        if not problems:
            return result
        account.marks.append("misfit")
        self._meter.misfits[target.server.name] += 1
        if target.policy.output is OutputCheck.REFUSE:
            raise InvalidResult(target.server.name, errand.called, problems)
        return marked(result, problems)

    async def fit(self, result: dict[str, Any], errand: Errand, account: Account) -> dict[str, Any]:
        """Cut what is too large for an assistant, and put the rest where it can be read on."""
        if errand.method != CALL:
            return result
        weight, limit = weigh(result), errand.target.policy.inline_bytes
        account.bytes = weight.total
        if not limit or errand.is_whole or weight.total <= limit:
            return result
        tool = errand.target.tool
        promised = errand.is_listed and tool is not None and tool.output_schema is not None
        read = partial(read_whole, result, weight, limit=limit, promised=promised)
        whole = await anyio.to_thread.run_sync(read)
        kept = self.shelf.put(
            errand.asker.principal,
            whole.text,
            media_type=whole.media_type,
            page_bytes=whole.page_bytes,
        )
        account.marks.append("cut")
        self._meter.cuts[errand.target.server.name] += 1
        return cut(result, whole, kept, tool=errand.called)
