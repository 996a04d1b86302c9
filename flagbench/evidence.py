"""Lines of evidence that are read again from records: written and recognised here alone."""

from __future__ import annotations


def server_line(url: str, interface: str, model: str) -> str:
    """The line that says where a served model is; more may follow after a comma.

    Args:
        url: Address of the server.
        interface: As ``--api-kind`` names it.
        model: Its name there.
    """
    return f"{_beginning(url)}{interface}), model {model} there"


def is_of_server(line: str, url: str) -> bool:
    """Tell whether a line says that a model is on a server.

    Args:
        line: Of evidence.
        url: Address of the server.
    """
    return line.startswith(_beginning(url))


def is_of_model(line: str, url: str, interface: str, model: str) -> bool:
    """Tell whether a line says that this very model of a server ran.

    Args:
        line: Of evidence.
        url, interface, model: See ``server_line``.
    """
    whole = server_line(url, interface, model)
    return line == whole or line.startswith(f"{whole},")


def _beginning(url: str) -> str:
    return f"server: {url} ("
