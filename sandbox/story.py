"""The story: a few customers write in by themselves."""

from sandbox.state import Sandbox


async def tell(desk: Sandbox) -> None:
    """Let the customers of the story write in."""
