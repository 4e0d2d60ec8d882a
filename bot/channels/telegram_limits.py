"""What Telegram takes and hands out: https://core.telegram.org/bots/api#sending-files

A Bot API server of one's own takes and hands out more: `telegram.upload_mb`, `telegram.download_mb`.
"""

from __future__ import annotations

DOWNLOAD_LIMIT_BYTES = 20 * 1024 * 1024
"""What the public Bot API hands out of one file."""
UPLOAD_LIMIT_BYTES = 50_000_000
"""What it takes of one file, each one of an album for itself."""
PHOTO_LIMIT_BYTES = 10_000_000
"""What is shown as a picture; a larger one goes as a document."""
CAPTION_UNITS = 1024
"""UTF-16 units under a file."""
TEXT_UNITS = 4096
"""UTF-16 units of a message: https://core.telegram.org/bots/api#sendmessage"""
ALBUM_FILES = 10
"""https://core.telegram.org/bots/api#sendmediagroup"""
