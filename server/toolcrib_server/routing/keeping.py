"""What was learned, kept in a folder, so that no process learns what another has learned already.

A file is named by all that the fit depends on: its tenant, the state of the outcomes, the encoder
and the code that learned it. One that is damaged or of another name is learned anew.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

from toolcrib_registry.files import write_whole

from .frozen import Unfreezable, Unreadable, freeze, thaw
from .policy import Policy

logger = logging.getLogger(__name__)

_SUFFIX: Final = ".fit"
_DIGITS: Final = 24


class KeptPolicies:
    """Policies in a folder; one for each tenant, its latest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, tenant: str, version: str, encoder_id: str) -> Policy | None:
        """Read a policy; None where it is not kept, or cannot be read. Blocks."""
        path = self._path(tenant, version, encoder_id)
        try:
            found = thaw(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, Unreadable) as error:
            logger.warning("What was learned for %s is learned anew: %s", tenant, error)
            return None
        if isinstance(found, Policy) and (found.tenant, found.version) == (tenant, version):
            return found
        logger.warning("What was learned for %s is learned anew: it is another's", tenant)
        return None

    def keep(self, policy: Policy, encoder_id: str) -> Policy:
        """Write a policy, in the place of the tenant's last, and give it as others will read it.

        So all processes choose alike, to the last digit. Where it cannot be written, that is said,
        and the policy given is the one that was learned. No query's text is in it. Blocks.
        """
        path = self._path(policy.tenant, policy.version, encoder_id)
        try:
            data = freeze(replace(policy, heard=replace(policy.heard, outcomes=())))
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, data)
            self._drop(f"{_hashed(policy.tenant)}-*{_SUFFIX}", but=path)
        except Unfreezable as error:
            logger.error("What was learned cannot be kept: %s", error)
            return policy
        except OSError as error:
            logger.warning("What was learned is not kept: %s", error.strerror)
            return policy
        return self.find(policy.tenant, policy.version, encoder_id) or policy

    def forget(self, tenant: str | None = None) -> None:
        """Drop what is kept of a tenant, or all of it."""
        self._drop(f"{_hashed(tenant)}-*{_SUFFIX}" if tenant is not None else f"*{_SUFFIX}")

    def _drop(self, pattern: str, *, but: Path | None = None) -> None:
        for path in self._folder.glob(pattern):
            if path != but:
                path.unlink(missing_ok=True)

    def _path(self, tenant: str, version: str, encoder_id: str) -> Path:
        content = _hashed(version, encoder_id, code_version())
        return self._folder / f"{_hashed(tenant)}-{content}{_SUFFIX}"


def code_version() -> str:
    """Name the code that learns: a fit by other code is another fit."""
    here = Path(__file__).parent
    rooms = (here, here.parent / "selection" / "routing")
    sources = sorted(path for room in rooms for path in room.glob("*.py"))
    return _hashed(*(path.read_text(encoding="utf-8") for path in sources))


def _hashed(*texts: str) -> str:
    joined = "\0".join(texts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(joined).hexdigest()[:_DIGITS]
