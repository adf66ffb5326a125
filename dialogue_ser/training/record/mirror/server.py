"""The W&B server: its address, and whether it answers."""

import configparser
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

CLOUD = "https://api.wandb.ai"
ANSWER_SECONDS = 3.0
"""A server that has not answered a question for this long does not answer."""


def server_of(environment: Mapping[str, str]) -> str:
    """Return the address of the W&B server: of WANDB_BASE_URL, of the user's W&B settings, or W&B's cloud.

    W&B also reads ``wandb/settings`` in the working folder. That file does not count here: it may come with the run
    folder of somebody else, and the server that it names would get the user's key.

    Args:
        environment: environment variables.

    >>> server_of({"WANDB_BASE_URL": "https://wandb.example.org/"})
    'https://wandb.example.org'
    """
    folder = environment.get("WANDB_CONFIG_DIR") or "~/.config/wandb"
    address = environment.get("WANDB_BASE_URL") or _setting(Path(folder).expanduser() / "settings", "base_url") or CLOUD
    return address.rstrip("/")


def problem_of(server: str, seconds: float = ANSWER_SECONDS) -> str:
    """Ask the server a question without a key; return why it cannot be used, or "" if it answers.

    Every answer counts, also a refusal. Only a server that reports a failure of its own (500 to 599) does not count.

    Args:
        server: address of the server.
        seconds: how long to wait.
    """
    found: list[str] = []
    # a thread, because the name of a host may be looked up for longer than any time limit
    thread = threading.Thread(target=lambda: found.append(_ask(server, seconds)), daemon=True)
    thread.start()
    thread.join(seconds + 0.5)
    return found[0] if found else f"{server} did not answer within {seconds:g} s"


def _ask(server: str, seconds: float) -> str:
    headers = {"Content-Type": "application/json", "User-Agent": "dialogue-ser"}
    asked = b'{"query": "query { __typename }"}'
    try:
        # the address is that of the user's own settings
        question = urllib.request.Request(f"{server}/graphql", data=asked, headers=headers)  # noqa: S310
        with urllib.request.urlopen(question, timeout=seconds):  # noqa: S310
            return ""
    except urllib.error.HTTPError as answer:
        return f"{server} answers with the error {answer.code}" if answer.code >= 500 else ""
    except TimeoutError:
        return f"{server} did not answer within {seconds:g} s"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            return f"{server} did not answer within {seconds:g} s"
        if "CERTIFICATE" in str(reason):  # W&B may know other certificates
            return ""
        return f"{server} cannot be reached ({reason})"
    except Exception as error:  # e.g. an answer that is no HTTP
        return f"{server} does not answer as a web server ({type(error).__name__})"


def _setting(file: Path, name: str) -> str | None:
    """Return a setting of a W&B settings file; None if there is no such file or setting."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return None
    return parser.get("default", name, fallback=None)
