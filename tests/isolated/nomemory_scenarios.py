"""All scenarios of nomemory.py, by name."""

import nomemory_awaitables
import nomemory_managers
import nomemory_module
import nomemory_stacks
from nomemory_world import SCENARIOS, World

__all__ = ["SCENARIOS", "World", "nomemory_awaitables", "nomemory_managers", "nomemory_module", "nomemory_stacks"]
