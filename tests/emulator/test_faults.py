"""Faults on request: whom they hit, and what their calls cost."""

from __future__ import annotations

from collections import Counter

import pytest

from tap_zentra.emulator import Device, Fault, Response
from tap_zentra.emulator.faults import KINDS, Faults
from tests.emulator.support import Cloud, detail

DEVICES = [Device("z6-1"), Device("z6-2")]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("500", Fault("500")),
        ("500x3", Fault("500", times=3)),
        ("cut-chunked@z6-00002", Fault("cut-chunked", "z6-00002")),
        ("lockout@z6-00002x12", Fault("lockout", "z6-00002", 12)),
        (" 401@06-02047x1 ", Fault("401", "06-02047", 1)),
    ],
)
def test_a_fault_is_written_as_kind_device_times(text: str, fault: Fault) -> None:
    """The device and the times may be left out."""
    assert fault == Fault.parse(text)


@pytest.mark.parametrize("text", ["", "418", "500@", "500x0", "@z6-1", "500x-1"])
def test_what_is_no_fault_is_refused(text: str) -> None:
    """Unknown kinds and impossible numbers are mistakes."""
    with pytest.raises(ValueError, match=r"."):
        Fault.parse(text)


def test_a_fault_hits_its_device_so_many_times() -> None:
    """Other devices are not hit, and the device itself not any more after the last time."""
    faults = Faults([Fault("500", "a", 2), Fault("404", "b")], 0, (), seed=1)

    assert [_name(faults.hit(device)) for device in "abcabcabc"] == [
        *("500", "404", None),
        *("500", "404", None),
        *(None, "404", None),
    ]


def test_faults_by_chance_do_not_depend_on_the_interleaving() -> None:
    """Each device has its own fate, whoever is asked in between."""
    kinds = ("500", "reset")
    one_by_one = Faults([], 0.3, kinds, seed=7)
    in_turn = Faults([], 0.3, kinds, seed=7)

    first = {device: [_name(one_by_one.hit(device)) for _ in range(200)] for device in "abc"}
    second: dict[str, list[str | None]] = {device: [] for device in "abc"}
    for _ in range(200):
        for device in "cab":
            second[device].append(_name(in_turn.hit(device)))

    assert first == second
    counts = Counter(name for names in first.values() for name in names)
    assert 130 < counts["500"] + counts["reset"] < 230
    assert set(counts) == {None, *kinds}
    assert first["a"] != first["b"]


@pytest.mark.parametrize(
    ("kind", "status"),
    [("500", 500), ("503", 503), ("html", 200), ("401", 401), ("403", 403), ("404", 404), ("redirect", 302)],
)
def test_a_fault_has_the_answer_of_its_kind(kind: str, status: int) -> None:
    """The status says which; a redirect goes to a host that does not exist."""
    reception = Cloud(DEVICES, faults=[Fault(kind)]).receive({"device_sn": "z6-1"})
    answer = reception.answer()

    assert (answer.status, reception.injected) == (status, kind)
    assert ("Location" in answer.headers) == (kind == "redirect")


@pytest.mark.parametrize("kind", ["reset", "cut", "cut-chunked", "hang"])
def test_a_fault_of_the_way_back_has_the_right_answer(kind: str) -> None:
    """Only its delivery fails."""
    cloud = Cloud(DEVICES, faults=[Fault(kind, times=1)])

    broken = cloud.call(device_sn="z6-1", per_page=3)
    whole = cloud.call(device_sn="z6-1", per_page=3)

    assert (broken.delivery, whole.delivery) == (kind, "whole")
    assert broken.body == whole.body


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("lockout")])
def test_a_faulted_call_uses_up_the_window(kind: str) -> None:
    """As the service's own failures do."""
    cloud = Cloud(DEVICES, faults=[Fault(kind, times=1)])
    cloud.call(device_sn="z6-1", at=0.0)

    assert cloud.call(device_sn="z6-1", at=59.9).status == 429
    assert cloud.call(device_sn="z6-1", at=60.0).status == 200


@pytest.mark.parametrize("kind", ["lockout", "lockout-silent"])
def test_a_lockout_really_locks_the_device(kind: str) -> None:
    """For the seconds that it names, and no other device."""
    cloud = Cloud(DEVICES, window=1, faults=[Fault(kind, "z6-1", times=1, seconds=30)])

    answer = cloud.call(device_sn="z6-1", at=0.0)

    assert detail(answer) == "Exceeded request limit of 1 call per 1 second. Lock out expires in 30 seconds."
    assert answer.headers == ({} if kind == "lockout-silent" else {"Retry-After": "30"})
    assert cloud.call(device_sn="z6-2", at=0.0).status == 200
    assert cloud.call(device_sn="z6-1", at=29.9).status == 429
    assert cloud.call(device_sn="z6-1", at=30.0).status == 200


def test_a_lockout_of_the_account_locks_all_devices() -> None:
    """Its text speaks of the account's limit, and its seconds are a window rounded up."""
    cloud = Cloud(DEVICES, window=1.5, faults=[Fault("lockout-account", times=1)])

    answer = cloud.call(device_sn="z6-1", at=0.0)

    assert detail(answer) == "Exceeded request limit of 60 calls per 1.5 seconds. Lock out expires in 2 seconds."
    assert cloud.call(device_sn="z6-2", at=1.9).status == 429
    assert cloud.call(device_sn="z6-2", at=2.0).status == 200


def test_a_refused_call_does_not_use_up_a_fault() -> None:
    """Faults hit calls that would have been answered."""
    cloud = Cloud(DEVICES, faults=[Fault("500", "z6-1", 2)])

    assert [cloud.call(device_sn="z6-1", at=at).status for at in (0, 1, 60, 120)] == [500, 429, 500, 200]


def test_a_function_can_answer_in_the_services_place() -> None:
    """For hostile bodies; its call costs what any other does."""
    fault = Fault(lambda request: Response(body=f"[{request.params['per_page']}]".encode()), "z6-1", 1)
    cloud = Cloud(DEVICES, faults=[fault])

    reception = cloud.receive({"device_sn": "z6-1", "per_page": 7}, at=0.0)

    assert (reception.injected, reception.answer().body) == ("function", b"[7]")
    assert cloud.call(device_sn="z6-1", at=1.0).status == 429


def _name(fault: Fault | None) -> str | None:
    return None if fault is None else fault.name
