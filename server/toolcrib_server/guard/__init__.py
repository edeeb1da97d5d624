"""Who may come in: the Host and Origin of a request, the key it bears, and how much it sends.

Plain ASGI, in front of both faces. Knows no framework, no route and no settings.
"""

from .body import MAX_BODY_BYTES, BodyGuard
from .hosts import LOOPBACK_HOSTS, HostGuard
from .keys import ApiKey, KeyGuard, KeyRing, Principal, Role, principal_of

__all__ = [
    "LOOPBACK_HOSTS",
    "MAX_BODY_BYTES",
    "ApiKey",
    "BodyGuard",
    "HostGuard",
    "KeyGuard",
    "KeyRing",
    "Principal",
    "Role",
    "principal_of",
]
