"""`relaydesk config`: check it without starting, show what is in force, print its schema."""

from __future__ import annotations

import typer

from bot.cli.terminal import DEFAULT_CONFIG, AsJson, ConfigFile, as_plain, complain, guarded, say, show_json

app = typer.Typer(help="Check, show or describe the configuration.", no_args_is_help=True)


@app.command(short_help="Say what is wrong in the configuration, one line per mistake.")
@guarded
def check(path: ConfigFile = DEFAULT_CONFIG) -> None:
    """Read everything and say what is wrong, one line per mistake (exit 2). Starts nothing."""
    from bot import settings, settings_rulebook
    from classifiers import taxonomy

    read = settings.load(path)
    settings_rulebook.build(read, taxonomy.read(read.classifier.taxonomy or taxonomy.STARTER).labels)
    platforms = "the sandbox" if read.sandbox else "real accounts"
    counts = (
        (len(read.queues), "queue", "queues"),
        (len(read.routing), "rule", "rules"),
        (len(read.sla.policies), "policy", "policies"),
        (len(read.sla.calendars), "calendar", "calendars"),
    )
    words = ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts)
    say(f"{path}: valid ({words}; {platforms})")
    if lines := read.blockers():
        complain("A start would still be refused:")
        for line in lines:
            complain(f"  {line}")


@app.command(short_help="Print what is in force, defaults included, secrets not.")
@guarded
def show(path: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Print what is in force, defaults included; secrets show as set or not set."""
    import yaml

    from bot import settings, settings_secrets

    read = settings.load(path)
    shown = as_plain(read.model_dump(mode="json"))
    for name in ("database", "keystore"):
        shown[name] = {"url": _masked(getattr(read, f"{name}_url"))}
    secrets = {
        settings_secrets.variable(name): "set" if getattr(read.secrets, name) else "not set"
        for name in settings_secrets.NAMES
    }
    if as_json:
        show_json({"config": shown, "secrets": secrets})
        return
    say(yaml.safe_dump(shown, allow_unicode=True, sort_keys=False).rstrip())
    say()
    say("# Secrets, from the environment, .env or files:")
    for name, state in secrets.items():
        say(f"#   {name}: {state}")


@app.command()
@guarded
def schema() -> None:
    """Print the JSON schema of config.yaml, for an editor."""
    from bot import settings

    show_json(settings.json_schema())


def _masked(url: str) -> str:
    from bot.logs import redact

    return redact(url)
