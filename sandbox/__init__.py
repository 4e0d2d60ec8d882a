"""A local Telegram and a local Slack: to try the product, to train people on it, and to judge its tests."""
