"""Whatever is sent to a receiver: a right answer, bounded memory, and it goes on."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from faults.size import sized
from receiver.fuzz import answers_to, case_of, peak_bytes, wrong_in
from receiver.receiver_process import receiver_process
from running import clean_environment, wait_until

PARTS = 4
CASES = sized(2000, 100_000) // PARTS
GOOD_AFTER = 100
MOST_BYTES = 1024 * 1024 * 1024

pytestmark = pytest.mark.timeout(sized(300, 4 * 3600))


@pytest.mark.parametrize("seed", range(20260401, 20260401 + PARTS))
def test_a_receiver_takes_what_is_right_among_what_is_not(seed, scripted_mart, tmp_path):
    """Every case has an allowed answer or end; good requests among them arrive, every one."""
    environment = {
        **clean_environment(),
        **{f"SCORESPAN_{key.upper()}": value for key, value in scripted_mart.settings.items()},
        "SCORESPAN_SPOOL_DIR": str(tmp_path / "spool"),
    }
    good = []
    with receiver_process(environment, "--no-grpc") as receiver:
        address = urlsplit(receiver.url)
        for number in range(CASES):
            case = case_of(seed, number)
            where = f"seed {seed}, case {number}: {case.kind}"
            try:
                answers = answers_to(case, (address.hostname, address.port))
            except OSError as error:
                pytest.fail(f"{where}: {error}")
            assert wrong_in(case, answers) is None, f"{where}: {wrong_in(case, answers)}"
            if number % GOOD_AFTER == GOOD_AFTER - 1:
                good.append(f"good-{seed}-{number}")
                assert receiver.post(good[-1]).status_code == 200, where
        peak = peak_bytes(receiver.process.pid)
        wait_until(lambda: set(good) <= set(scripted_mart.stored), "every good request delivered")
        receiver.end()
    assert peak < MOST_BYTES
