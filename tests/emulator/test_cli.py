"""The command `zentra-emulator`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tap_zentra.emulator.cli import main
from tests.support import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = (sys.executable, "-c", "from tap_zentra.emulator.cli import main; main()")

PRINT_ENVIRONMENT = (
    "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith('TAP_ZENTRA_')}))"
)

ASK = """
import os, urllib.request
url = os.environ["TAP_ZENTRA_API_URL"] + "/api/v4/get_readings/?device_sn=z6-00002&start_mrid=5&sort_by=ascending"
token = "Token " + os.environ["TAP_ZENTRA_AUTH_TOKEN"]
print(urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": token})).read().decode())
"""


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return the exit code of a command line and what it printed."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    printed = capfd.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, printed.out, printed.err


@pytest.fixture(autouse=True)
def _same_interpreter() -> object:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("code", [0, 3])
def test_run_ends_with_the_exit_code_of_its_command(capfd: pytest.CaptureFixture[str], code: int) -> None:
    """So that it can stand in front of any command; what it says itself goes to standard error."""
    told = run(capfd, "run", sys.executable, "-c", f"raise SystemExit({code})")

    assert told == (code, "", "zentra-emulator: calls received: 0, of which rejected (429): 0\n")


def test_run_tells_the_command_where_to_read(capfd: pytest.CaptureFixture[str]) -> None:
    """By environment variables; the serial numbers are a JSON array, as Meltano needs it."""
    code, out, _ = run(capfd, "run", "--devices", "2", "--token", "t", "--", sys.executable, "-c", PRINT_ENVIRONMENT)

    variables = json.loads(out)
    assert code == 0
    assert variables.pop("TAP_ZENTRA_API_URL").startswith("http://127.0.0.1:")
    assert variables == {"TAP_ZENTRA_AUTH_TOKEN": "t", "TAP_ZENTRA_DEVICE_SNS": '["z6-00001", "z6-00002"]'}


def test_run_tells_the_command_other_limits(capfd: pytest.CaptureFixture[str]) -> None:
    """So that the tap is as quick as a short window allows."""
    limits = ("--window", "0.05", "--user-limit", "30", "--device-limit", "2")

    _, out, _ = run(capfd, "run", *limits, sys.executable, "-c", PRINT_ENVIRONMENT)

    variables = json.loads(out)
    assert variables["TAP_ZENTRA_CALL_LIMIT_WINDOW"] == "0.05"
    assert variables["TAP_ZENTRA_USER_CALL_LIMIT"] == "30"
    assert variables["TAP_ZENTRA_DEVICE_CALL_LIMIT"] == "2"


def test_run_emulates_what_the_options_say(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Records, gaps, pages and faults reach the service; the log holds the call."""
    log = tmp_path / "calls.jsonl"
    options = ("--records", "10,20", "--gaps", "z6-00002:7-19", "--gaps", "1-5", "--pages", "ids")
    others = ("--fault", "500@z6-00001", "--fault-rate", "0", "--fault-kinds", "reset,cut", "--seed", "4")

    code, out, _ = run(capfd, "run", *options, *others, "--call-log", str(log), sys.executable, "-c", ASK)

    pagination = json.loads(out)["pagination"]
    assert code == 0
    assert (pagination["page_start_mrid"], pagination["page_end_mrid"], pagination["max_mrid"]) == (6, 20, 20)
    assert pagination["page_num_readings"] == 2
    assert json.loads(log.read_text())["records"] == 2


def test_run_emulates_what_is_unknown_as_the_options_say(capfd: pytest.CaptureFixture[str]) -> None:
    """Its switches are options of the command."""
    options = ("--records", "30", "--skip-every", "4", "--sorting", "descending", "--late-values", "absent")
    others = (
        "--duplicates",
        "--odd-fields",
        "--empty-days",
        "nan",
        "--entry-order",
        "shuffled",
        "--limit-words",
        "device",
        "--page-days",
        "21",
    )

    code, out, _ = run(capfd, "run", *options, *others, sys.executable, "-c", ASK)

    body = json.loads(out)
    readings = body["data"]["Air Temperature"][0]["readings"]
    assert code == 0
    assert [reading["mrid"] for reading in readings[:6]] == [39, 38, 37, 35, 35, 34]
    assert readings[0]["tz_offset"][-3] == ":"
    assert body["pagination"]["max_mrid"] == 39
    assert body["data"]["Atmospheric Pressure"][0]["readings"][0]["mrid"] == 38


@pytest.mark.skipif(os.name == "nt", reason="Windows has no exit by a signal")
def test_run_tells_that_its_command_was_killed(capfd: pytest.CaptureFixture[str]) -> None:
    """As shells do: 128 and the signal's number."""
    code, _, _ = run(capfd, "run", sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")

    assert code == 137


def test_run_tells_that_its_command_is_not_there(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """As shells do: 127 for what is not found, 126 for what is no program."""
    (tmp_path / "text").write_text("no program")

    code, _, err = run(capfd, "run", "no-such-command")

    assert (code, err.splitlines()[0]) == (
        127,
        "zentra-emulator: cannot run no-such-command: No such file or directory",
    )
    assert run(capfd, "run", str(tmp_path / "text"))[0] == 126


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to forward")
def test_run_forwards_signals(tmp_path: Path) -> None:
    """The command is asked to end, and its exit code is kept."""
    child = (
        "import signal, sys, pathlib;"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5));"
        "print('ready', flush=True); signal.pause()"
    )
    with subprocess.Popen(
        [*COMMAND, "run", sys.executable, "-c", child], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)

        assert process.wait(PATIENCE) == 5


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_tells_how_to_read_from_it_and_ends_cleanly(number: signal.Signals) -> None:
    """With lines to copy, and a summary after Ctrl-C."""
    with subprocess.Popen([*COMMAND, "serve", "--devices", "12"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told: list[str] = []
        while not told or not told[-1].startswith("export TAP_ZENTRA_DEVICE_SNS="):
            told.append(process.stdout.readline())
        process.send_signal(number)
        rest = process.stdout.read()

        assert process.wait(PATIENCE) == 0
    assert told[0].startswith("ZENTRA Cloud emulator at http://127.0.0.1:")
    assert told[1].startswith("Token: ")
    assert "  and 2 more\n" in told
    assert told[-3].startswith("export TAP_ZENTRA_API_URL=http://127.0.0.1:")
    assert rest == "zentra-emulator: calls received: 0, of which rejected (429): 0\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Missing command"),
        (["fly"], "No such command 'fly'"),
        (["run"], "Missing argument 'COMMAND...'"),
        (["run", "--devices", "0", "x"], "Invalid value for '--devices'"),
        (["run", "--records", "ten", "x"], "'ten' is not a number or a list of numbers"),
        (["run", "--gaps", "9-5", "x"], "'9-5' does not have the form 200-300 or z6-00002:200-300"),
        (["run", "--gaps", "z6-1:1-5", "x"], "There is no device z6-1; the last device is z6-00003"),
        (["run", "--skip-every", "1", "x"], "'--skip-every': 1 would leave no record number"),
        (["run", "--sorting", "random", "x"], "Invalid value for '--sorting'"),
        (["run", "--fault", "418", "x"], "there is no fault '418'"),
        (["run", "--fault", "500@z6-1", "x"], "There is no device z6-1; the last device is z6-00003"),
        (
            ["run", "--eventful", "--fault", "500@z6-00009", "x"],
            "There is no device z6-00009; the last device is z6-00008",
        ),
        (["run", "--eventful", "--until", "0001-01-03", "x"], "The first record would be before the year 1"),
        (["run", "--empty-days", "none", "x"], "Invalid value for '--empty-days'"),
        (["run", "--fault-kinds", "500,418", "x"], "there is no fault '418'"),
        (["run", "--retry-after", "soon", "x"], "Invalid value for '--retry-after'"),
        (["run", "--call-log", "/no/such/folder/log", "x"], "Cannot start: No such file or directory"),
        (["run", "--window", "nan", "x"], "Invalid value for '--window': not a number"),
        (["run", "--records", "99999999", "--interval", "999999", "x"], "The first record would be before the year 1"),
        (["serve", "--port", "99999"], "Invalid value for '--port'"),
    ],
)
def test_a_wrong_option_is_told_in_one_line(
    capfd: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    """The exit code is 2, and there is no traceback."""
    code, out, err = run(capfd, *arguments)

    assert (code, out) == (2, "")
    assert err.startswith("zentra-emulator: ")
    assert complaint in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["run", "serve"])
def test_help_explains_every_option_and_fault(capfd: pytest.CaptureFixture[str], command: str) -> None:
    """Options have a text, and the kinds of faults are listed."""
    code, out, _ = run(capfd, command, "--help")

    assert code == 0
    assert "lockout-silent" in out
    assert "--call-log" in out


def test_without_the_extra_it_says_what_to_install() -> None:
    """The web server is not part of the tap itself."""
    program = "import sys; sys.modules['aiohttp'] = None; from tap_zentra.emulator.cli import main; main()"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "zentra-emulator: the emulator is not installed: pip install 'tap-zentra[emulator]'\n"


def test_run_tells_the_command_to_read_v5(capfd: pytest.CaptureFixture[str]) -> None:
    """With --api v5: the version, and the limits that v5 has."""
    options = ("--api", "v5", "--device-burst", "9", "--user-limit", "3")

    _, out, _ = run(capfd, "run", *options, sys.executable, "-c", PRINT_ENVIRONMENT)

    variables = json.loads(out)
    assert variables["TAP_ZENTRA_API_VERSION"] == "v5"
    assert variables["TAP_ZENTRA_DEVICE_CALL_BURST"] == "9"
    assert "TAP_ZENTRA_USER_CALL_LIMIT" not in variables


def ask_v5(path: str) -> str:
    """Return a program that calls v5 and prints the body."""
    return f"""
import os, urllib.request
url = os.environ["TAP_ZENTRA_API_URL"] + "/v5/devices{path}"
key = os.environ["TAP_ZENTRA_AUTH_TOKEN"]
print(urllib.request.urlopen(urllib.request.Request(url, headers={{"X-API-Key": key}})).read().decode())
"""


def test_run_emulates_v5_as_the_options_say(capfd: pytest.CaptureFixture[str]) -> None:
    """What is unknown of v5 is an option each, and a fault may hit the list of devices."""
    choices = {
        "--budget": "key",
        "--refusal-words": "number-first",
        "--empty-months": "skipped",
        "--end": "exclusive",
        "--logger-port": "minus-one",
        "--timestamps": "float",
        "--unit-spelling": "plain",
        "--validation-words": "text",
        "--error-form": "message",
        "--two-time-forms": "first",
        "--token-lifetime": "3",
        "--expired-token": "404",
        "--list-limit": "2",
        "--list-pagination": "missing",
        "--fault": "500@devices",
    }
    options = [word for pair in choices.items() for word in pair]
    flags = ("--next-url", "--positions", "--reading-ids", "--null-groups")

    ask = ask_v5("/z6-00002/data?start_datetime=2025-12-01&end_datetime=2026-02-01")
    command = (sys.executable, "-c", ask)

    code, out, _ = run(capfd, "run", "--api", "v5", "--until", "2026-01-01", *options, *flags, *command)

    page = json.loads(out)
    first = page["values"][0]
    assert code == 0
    assert {"position", "reading_id"} <= set(first)
    assert isinstance(first["timestamp"], float)
    assert {-1, 7} < {row["port_num"] for row in page["values"]}
    assert "m3/m3" in {row["unit"] for row in page["values"]}
    assert "next_url" in page["pagination"]


@pytest.mark.parametrize(
    ("until", "newest"),
    [
        ("2025-03-01", datetime(2025, 2, 28, 23, 45, tzinfo=UTC)),
        ("2025-03-01T01:00:00+01:00", datetime(2025, 2, 28, 23, 45, tzinfo=UTC)),
    ],
)
def test_the_newest_records_are_as_old_as_is_asked_for(
    capfd: pytest.CaptureFixture[str], until: str, newest: datetime
) -> None:
    """One interval before the moment at which the next ones are due."""
    assert _newest(capfd, "--until", until) == newest.timestamp()


def test_the_newest_records_are_recent_by_default(capfd: pytest.CaptureFixture[str]) -> None:
    """So that they are not those of devices that have fallen silent."""
    began = time.time()

    newest = _newest(capfd)

    assert began - 900 - 60 <= newest <= time.time() - 900


def _newest(capfd: pytest.CaptureFixture[str], *options: str) -> float:
    code, out, _ = run(capfd, "run", *options, sys.executable, "-c", ask_v5("?expand=max_min_timestamp"))
    assert code == 0
    return float(json.loads(out)["devices"][0]["data_range"]["last_measurement"])


def test_run_can_have_the_eventful_fleet(capfd: pytest.CaptureFixture[str]) -> None:
    """With the interval and up to the moment that are asked for; a fault may hit one of its devices."""
    options = ("--eventful", "--interval", "3600", "--until", "2025-03-01", "--fault", "500@z6-00008")

    code, out, _ = run(capfd, "run", *options, sys.executable, "-c", ask_v5("?expand=max_min_timestamp"))

    told = json.loads(out)["devices"]
    assert code == 0
    assert [device["name"] for device in told][:2] == ["Swapped probe", "Moved port"]
    assert {device["data_range"]["last_measurement"] for device in told} == {
        datetime(2025, 2, 28, 23, tzinfo=UTC).timestamp()
    }


def test_a_moment_that_is_none_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    """In one line, as every option."""
    code, out, err = run(capfd, "run", "--until", "yesterday", "true")

    assert (code, out) == (2, "")
    assert "--until" in err
