"""What answers at ``/mcp/v/{view}``: a saved subset of the registry, as a server of its own."""

from .catalogue import Served, Views
from .definitions import searching_tools
from .scope import Look, Scope
from .service import ViewService, find_view

__all__ = ["Look", "Scope", "Served", "ViewService", "Views", "find_view", "searching_tools"]
