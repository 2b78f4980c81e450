"""Errors carry what a person needs next, and the exit code that a script needs."""

from __future__ import annotations

import pytest

from edge_anp import errors
from edge_anp.errors import BadFile, Divergence, EdgeAnpError, OutOfRange, ToolMissing, Unsupported

EXIT_CODES = {Divergence: 1, BadFile: 2, Unsupported: 2, OutOfRange: 2, ToolMissing: 3}


def test_there_are_five_errors_and_the_tree_shows_them_all() -> None:
    assert set(EdgeAnpError.__subclasses__()) == set(EXIT_CODES)
    for kind, code in EXIT_CODES.items():
        assert kind.exit_code == code
        assert any(line.split()[1:3] == [kind.__name__, str(code)] for line in (errors.__doc__ or "").splitlines())


def test_no_error_hides_as_a_bad_argument() -> None:
    """`except ValueError` around an argument must not swallow a network that does not fit."""
    assert not any(issubclass(kind, ValueError) for kind in EXIT_CODES)


def test_unsupported_lists_every_reason_on_a_line_of_its_own() -> None:
    reasons = ["layer 1 resets by subtraction; use zero", "layer 2 has 12 leaks; use one per layer"]
    error = Unsupported(iter(reasons), who="loihi")
    assert error.reasons == tuple(reasons)
    assert str(error).splitlines() == ["loihi cannot run this network:", *(f"  {reason}" for reason in reasons)]


def test_a_single_reason_is_not_taken_for_a_list_of_letters() -> None:
    assert Unsupported("layer 1 inhibits").reasons == ("layer 1 inhibits",)


def test_a_bad_file_says_what_is_wrong_where_and_what_it_must_be() -> None:
    error = BadFile("a.npz", "shift is 99", where="layer 2", should_be="a shift of -24..24")
    assert str(error) == "a.npz (layer 2): shift is 99; it must be a shift of -24..24"
    assert str(BadFile("a.npz", "it ends early")) == "a.npz: it ends early"


def test_a_missing_tool_says_how_to_get_it() -> None:
    with pytest.raises(EdgeAnpError, match=r"^qemu-system-arm is missing; apt-get install qemu-system-arm$"):
        raise ToolMissing("qemu-system-arm", "apt-get install qemu-system-arm")
