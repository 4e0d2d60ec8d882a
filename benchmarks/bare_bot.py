"""A minimal bot to compare with: python-telegram-bot's Application forwards each message to Slack, and that is all."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient
from telegram import Update
from telegram.ext import Application, CallbackContext, MessageHandler, filters

SANDBOX_TOKEN = "8400000001:AAsandboxsandboxsandboxsandboxsandb"  # the sandbox's own, see sandbox/telegram/routes.py


async def run(url: str) -> None:
    """Forward until SIGTERM. Neither stores nor classifies nor times anything."""
    async with aiohttp.ClientSession() as session:
        slack = AsyncWebClient("xoxb-sandbox", base_url=f"{url}/slack/api/", session=session)
        builder = Application.builder().token(SANDBOX_TOKEN).base_url(f"{url}/telegram/bot").concurrent_updates(8)
        bot: Any = builder.build()

        async def forward(update: Update, _context: CallbackContext[Any, Any, Any, Any]) -> None:
            if update.message is not None and update.effective_user is not None:
                said = f"{update.effective_user.first_name}: {update.message.text}"
                await slack.chat_postMessage(channel="C0SUPPORT", text=said)

        bot.add_handler(MessageHandler(filters.TEXT, forward))
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        async with bot:
            await bot.start()
            await bot.updater.start_polling(poll_interval=0)
            print(json.dumps({"ready": True}), flush=True)
            await stop.wait()
            await bot.updater.stop()
            await bot.stop()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1]))
