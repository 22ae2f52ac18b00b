"""The console: what an operator sees and does in a browser, on the admin port of each gateway."""

from agent.console.mounting import add_console

__all__ = ["add_console"]
