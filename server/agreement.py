"""How the raw rows of all sites are prepared alike: each tells sums of its own, before the first round."""

import logging
import os
from pathlib import Path

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from federation.data.sites import Sites
from federation.data.summary import Summary
from federation.engine import Waiting
from federation.rules import InputError
from federation.wire.records import CONFIG, QUESTION, SUMMARY

LOG = logging.getLogger("manifold")

FILE = "sites.json"
"""What the sites have agreed on, in the folder of a run."""


def agreed(grid: Grid, sites: Sites, timeout: float) -> Sites:
    """The sites with the preparation that is made of the sums of all that are there.

    A site whose file cannot be read is named and left out, as in a round.

    Raises:
        InputError: they do not fit together, or nobody tells anything.
    """
    asked = [Message(RecordDict(), node, QUESTION) for node in grid.get_node_ids()]
    told: dict[int, Summary] = {}
    for reply in Waiting(grid).send_and_receive(asked, timeout=timeout):
        try:
            client, summary = _read(reply)
            if client in told or not 0 <= client < sites.clients:
                raise ValueError(f"client {client}: told already, or not of these {sites.clients}")
            told[client] = summary
        except ValueError as error:
            LOG.warning("preparation: goes on without a site, %s", " ".join(str(error).split()))
    if not told:
        raise InputError("no site could tell of its rows; the log says why")
    try:
        return sites.prepared(Summary.total(told[client] for client in sorted(told)))
    except InputError as error:
        raise InputError(f"clients {', '.join(map(str, sorted(told)))}: {error}") from None


def _read(reply: Message) -> tuple[int, Summary]:
    """Raises:
    ValueError: an error, or no summary.
    """
    if reply.has_error():
        raise ValueError(reply.error.reason or f"error {reply.error.code}")
    config = reply.content.config_records.get(CONFIG, ConfigRecord())
    return int(str(config.get("client", -1))), Summary.model_validate_json(str(config.get(SUMMARY, "")))


def kept(folder: Path, sites: Sites) -> None:
    """Write down what the sites have agreed on, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{FILE}"
    partial.write_text(sites.model_dump_json(indent=2), encoding="utf-8")
    os.replace(partial, folder / FILE)


def known(folder: Path) -> Sites:
    """What the sites of a run that is resumed have agreed on.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        return Sites.model_validate_json((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{folder / FILE} cannot be read; begin the run again") from None
