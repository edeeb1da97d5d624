"""What an index holds at one revision, which is all that a question is answered from.

Immutable but for what is remembered; whoever changes an index replaces it whole.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from toolcrib_embeddings.abstention.calibration import Calibration
from toolcrib_embeddings.abstention.judging import Judge
from toolcrib_embeddings.hits import Ranking
from toolcrib_embeddings.indexing.index import FaissIndex
from toolcrib_embeddings.indexing.lexical import Bm25Index
from toolcrib_embeddings.indexing.token_table import TokenTable
from toolcrib_registry.types import Revision

from .question import Question

_REMEMBERED: Final = 256
_LONGEST_REMEMBERED: Final = 200
"""Hits; a longer answer is not kept, so that the memory of answers stays small."""


class State:
    """All that a search reads, at one revision, with the answers given from it."""

    def __init__(
        self,
        dense: FaissIndex,
        lexical: Bm25Index,
        revision: Revision,
        calibration: Calibration,
        calibrated_at: int = 0,
        *,
        tokens: TokenTable,
    ) -> None:
        self.dense = dense
        self.lexical = lexical
        self.revision = revision
        self.calibrated_at = calibrated_at
        self.tokens = tokens
        self.judge = Judge(dense, lexical, calibration)
        self._answers: OrderedDict[Question, Ranking] = OrderedDict()
        self._lock = threading.Lock()

    def find_answer(self, question: Question) -> Ranking | None:
        """Return the answer that was given to a question, if it is remembered."""
        with self._lock:
            answer = self._answers.get(question)
            if answer is not None:
                self._answers.move_to_end(question)
            return answer

    def remember(self, question: Question, answer: Ranking) -> None:
        """Remember an answer, of the last few hundred."""
        if len(answer.hits) > _LONGEST_REMEMBERED:
            return
        with self._lock:
            self._answers[question] = answer
            if len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
