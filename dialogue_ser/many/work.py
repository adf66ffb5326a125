"""Do one job, in whatever process this is. An error becomes an outcome, so that the other jobs go on."""

import logging
import time
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from dialogue_ser.errors import DialogueSerError, describe_exception
from dialogue_ser.many.jobs import Outcome
from dialogue_ser.trust import Trust, only_code

logger = logging.getLogger(__name__)


def do_job(target: str, payload: Mapping[str, Any], fingerprint: str, trusted: Trust) -> Outcome:
    """Call the target of a job with its payload.

    Args:
        target: ``module:function`` of this package.
        payload: its keyword arguments.
        fingerprint: fingerprint of the job.
        trusted: code that the job may import by name.

    Returns:
        the outcome. It is ``failed`` for every exception of the work.

    Raises:
        KeyboardInterrupt, SystemExit: the process is to end.
    """
    started = time.monotonic()
    module, _, name = target.partition(":")
    try:
        function = getattr(import_module(module), name)
        with only_code(trusted):
            value = function(**payload)
    except Exception as error:
        reason = str(error) if isinstance(error, DialogueSerError) else describe_exception(error)
        if not isinstance(error, DialogueSerError):
            logger.error("%s", "".join(traceback.format_exception(error)))
        seconds = time.monotonic() - started
        return Outcome(status="failed", seconds=seconds, reason=reason, fingerprint=fingerprint, error=error)
    return Outcome(status="finished", seconds=time.monotonic() - started, value=value, fingerprint=fingerprint)


def do_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Do the job that :meth:`~dialogue_ser.many.jobs.Job.spec` describes, and write its record.

    Returns:
        the status and the reason, as plain values. A worker of Ray gives them back.
    """
    trusted: Trust = spec["trusted"] if isinstance(spec["trusted"], bool) else frozenset(spec["trusted"])
    outcome = do_job(spec["target"], spec["payload"], spec["fingerprint"], trusted)
    outcome.write(Path(spec["record"]), spec["key"])
    return {"status": outcome.status, "reason": outcome.reason}
