"""The letters on the command line: list, show, requeue and export."""

from __future__ import annotations

import base64
import json
import os
import stat
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from scorespan.cli.command import scorespan
from scorespan.cli.spool_show import readable
from scorespan.conversion.span import ScoringSpan, decode, encode
from scorespan.spool.dead import DEAD, WITHHELD, DeadLetter, read_letters
from scorespan.spool.dead_writer import write_letters
from scorespan.spool.root import Route, directories, prepare_root, route_of
from scorespan.spool.segment import read_segment, segments_of
from scorespan.spool.spool import Spool

ROUTE = Route("http://mart", "one")
REQUEST = b'{"fields": ["age"], "values": [[41.50]]}'
HOUR = 3600


def bury(root: Path, number: int, code: str, folder: str = DEAD, **known) -> str:
    """Make a letter of a span that has what is known of it; the name of its file."""
    about = {name: known.pop(name) for name in ("status", "answer", "route") if name in known}
    age = known.pop("age", 0)
    entry = known.pop("entry", None)
    first = ScoringSpan(REQUEST, b"{}", scoring_id=f"id-{number}", subscription_id="credit")
    span = first._replace(**{"producer_id": "p", "sequence": number, **known})
    letter = DeadLetter(
        b"".join(encode(span)) if entry is None else entry,
        f"w-1.00000001.{number}",
        code,
        f"the reason of {number}",
        scoring_id=span.key,
        subscription_id=span.subscription_id,
        **{"route": ROUTE, **about},
    )
    write_letters(root / folder, [letter], clock=lambda: time.time() - age)
    return f"{letter.place}.letter"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with three dead letters, a withheld record, and a file that is no letter."""
    root = tmp_path / "root"
    prepare_root(root)
    bury(root, 1, "refused", status=400, answer='{"errors": []}', age=3 * HOUR)
    bury(root, 2, "no_subscription", subscription_id=None)
    bury(root, 3, "damaged", entry=b"\x00rub\xffbish")
    bury(root, 4, "failed_scoring", WITHHELD, response=None, failed=True)
    (root / DEAD / "README").write_text("not a letter")
    return root


def run(root: Path, *arguments: str, **options) -> Result:
    """Run `scorespan spool` on a root."""
    command, *rest = arguments
    return CliRunner().invoke(scorespan, ["spool", command, "--dir", str(root), *rest], **options)


def listed(root: Path, *arguments: str) -> list[str]:
    """Scoring ids that are listed."""
    result = run(root, "list", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return [letter["scoring_id"] for letter in json.loads(result.stdout)["letters"]]


def waiting(root: Path) -> list[ScoringSpan]:
    """The spans that wait in the root's directories."""
    return [
        decode(frame.body)
        for directory in directories(root)
        for segment in segments_of(directory)
        for frame in read_segment(
            segment, 0, segment.stat().st_size, max_bytes=10**9, max_frames=10**6
        ).frames
        if frame.sequence
    ]


def test_list_shows_what_is_known_and_counts_it(root: Path):
    """One line a letter, then the counts by reason, and what is no letter."""
    result = run(root, "list")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "dead letters"
    assert lines[1].split("  ")[0] == "time (UTC)"
    assert lines[2].split()[2:5] == ["refused", "400", "0"]
    assert lines[2].split()[-2:] == ["credit", "id-1"]
    assert "withheld records" in lines
    assert lines[-3:] == [
        "3 dead letters: 1 refused, 1 no_subscription, 1 damaged",
        "1 withheld record: 1 failed_scoring",
        "1 file is no letter: dead/README",
    ]


def test_list_of_nothing_says_so(tmp_path: Path):
    """No table; two sentences."""
    prepare_root(tmp_path / "root")
    result = run(tmp_path / "root", "list")
    assert (result.exit_code, result.output) == (0, "no dead letters\nno withheld records\n")


def test_list_speaks_json(root: Path):
    """One document: letters without bodies, counts, and what is no letter."""
    known = json.loads(run(root, "list", "--json").stdout)
    assert known["counts"] == {
        "dead": {"refused": 1, "no_subscription": 1, "damaged": 1},
        "withheld": {"failed_scoring": 1},
    }
    assert known["no_letters"] == [str(root / DEAD / "README")]
    first = known["letters"][0]
    assert (first["letter"], first["kind"], first["status"]) == (
        "w-1.00000001.1.letter",
        "dead",
        400,
    )
    assert first["route"] == ["http://mart", "one", "v1"]
    assert "entry" not in first


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["id-1", "id-2", "id-3", "id-4"]),
        (["--dead"], ["id-1", "id-2", "id-3"]),
        (["--withheld"], ["id-4"]),
        (["--reason", "refused", "--reason", "damaged"], ["id-1", "id-3"]),
        (["--id", "id-2", "--id", "id-4"], ["id-2", "id-4"]),
        (["--subscription", "credit", "--dead"], ["id-1", "id-3"]),
        (["--since", "1h"], ["id-2", "id-3", "id-4"]),
        (["--until", "1h"], ["id-1"]),
        (["--since", "2h", "--until", "1h"], []),
        (["--reason", "refused", "--id", "id-2"], []),
    ],
)
def test_filters_choose(root: Path, arguments: list[str], expected: list[str]):
    """A letter must meet every filter; of one that is repeated, any of its values."""
    assert listed(root, *arguments) == expected


@pytest.mark.parametrize("command", [["list"], ["export", "-"], ["requeue"]])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--dead", "--withheld"], "leave nothing"),
        (["--since", "soon"], "no moment"),
    ],
)
def test_filters_that_make_no_sense_are_wrong_use(root, command, arguments, said):
    """Exit code 2 and one sentence."""
    result = run(root, *command, *arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_show_tells_everything(root: Path):
    """Reason, answer, times, route, the span's fields, and the bodies."""
    result = run(root, "show", "id-1")
    assert result.exit_code == 0
    for words in (
        "the reason of 1", '{"errors": []}', "http://mart, one, v1", "subscription id   credit",
        "failed first", "w-1.00000001.1.letter", '{"fields": ["age"], "values": [[41.50]]}',
    ):  # fmt: skip
        assert words in result.output


def test_show_takes_the_name_of_a_file_and_shows_every_match(root: Path):
    """A scoring may have several letters; each is shown."""
    bury(root, 9, "refused", scoring_id="id-1")
    assert run(root, "show", "id-1").output.count("dead letter\n") == 2
    for name in ("w-1.00000001.4", "w-1.00000001.4.letter"):
        assert run(root, "show", name).output.startswith("withheld record\n")


def test_show_of_what_is_no_span_shows_its_bytes(root: Path):
    """Hexadecimal digits where there is no text."""
    result = run(root, "show", "id-3")
    assert "none can be read" in result.output
    assert "00 72 75 62 ff 62 69 73 68" in result.output


def test_show_neither_obeys_nor_hides_what_others_wrote(root: Path):
    """Escapes in bodies, ids and reasons never reach the terminal."""
    bury(
        root, 5, "bad\x1b[2J", scoring_id="\x1b]0;id", request=b'{"a": "\xc2\x9b2J"}',
        response=b"text \x1b[31m\nred", answer="\x1b[1m",
    )  # fmt: skip
    said = run(root, "show", "w-1.00000001.5").output + run(root, "list").output
    assert "red" in said
    assert "\x1b" not in said
    assert "\x9b" not in said


def test_show_breaks_long_json_into_lines(root: Path):
    """Members and rows on lines of their own; numbers keep their digits."""
    rows = ", ".join(f'["{"x" * 40}", {number}.10]' for number in range(5))
    bury(root, 5, "refused", request=b'{"fields": [], "values": [%b]}' % rows.encode())
    lines = run(root, "show", "id-5").output.splitlines()
    assert '    "fields": [],' in lines
    assert f'      ["{"x" * 40}", 4.10]' in lines


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=60),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner),
)


@given(json_values)
def test_json_in_lines_is_the_same_json(value: object):
    """However it is broken into lines, a body says what it said."""
    body = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    lines = list(readable(body, cut=False))
    assert json.loads("\n".join(lines)) == json.loads(body)


def test_show_shows_the_beginning_of_a_large_body(root: Path):
    """And says how large it is, and how to have all."""
    bury(root, 5, "refused", request=b"[" + b"1," * 300_000)
    said = run(root, "show", "id-5").output
    assert len(said) < 10_000
    assert "600,001 bytes; the first 4,096 of them, --raw request writes all" in said


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        ("id-1", "request", REQUEST),
        ("id-1", "response", b"{}"),
        ("id-3", "entry", b"\x00rub\xffbish"),
    ],
)
def test_show_raw_writes_the_bytes_alone(root: Path, name: str, raw: str, expected: bytes):
    """To be mended, and given back."""
    result = run(root, "show", name, "--raw", raw)
    assert (result.exit_code, result.stdout_bytes) == (0, expected)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nobody"], 1, "there is no letter nobody"),
        (["id-4", "--raw", "response"], 1, "the span has no response"),
        (["id-3", "--raw", "request"], 1, "--raw entry"),
    ],
)
def test_show_says_what_is_not_there(root: Path, arguments: list[str], code: int, said: str):
    """Exit code 1 and one sentence."""
    result = run(root, "show", *arguments)
    assert result.exit_code == code
    assert said in result.output


def test_show_raw_needs_one_letter(root: Path):
    """Of several the names are told."""
    bury(root, 9, "refused", scoring_id="id-1")
    result = run(root, "show", "id-1", "--raw", "request")
    assert result.exit_code == 2
    assert "w-1.00000001.1, w-1.00000001.9" in result.output


def test_requeue_by_id(root: Path):
    """The letter goes, its span waits, and the rest stays."""
    result = run(root, "requeue", "id-1", "w-1.00000001.4")
    assert result.exit_code == 0
    assert "2 records requeued to http://mart (data mart one): the next process" in result.output
    assert [span.scoring_id for span in waiting(root)] == ["id-1", "id-4"]
    assert listed(root) == ["id-2", "id-3"]


def test_requeue_leaves_the_root_of_another_user_alone(root: Path):
    """A directory that is not theirs could be adopted by none of their processes."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(root, 12345, -1)
    result = run(root, "requeue", "id-1")
    assert result.exit_code == 2
    assert "belongs to another user" in result.output
    assert waiting(root) == []


def test_requeue_tells_of_a_running_process(root: Path):
    """It delivers within seconds."""
    spool = Spool(root, ROUTE, max_bytes=10**9)
    assert "a running process delivers them" in run(root, "requeue", "id-1").output
    spool.close()


@pytest.mark.parametrize(
    ("arguments", "requeued"),
    [
        (["--reason", "refused"], ["id-1"]),
        (["--subscription", "credit", "--until", "1h"], ["id-1"]),
        (["--withheld"], ["id-4"]),
        (["--since", "1h", "--reason", "no_subscription"], ["id-2"]),
        (["id-1", "--reason", "refused"], ["id-1"]),
        (["--id", "id-4"], ["id-4"]),
    ],
)
def test_requeue_by_filter(root: Path, arguments: list[str], requeued: list[str]):
    """Filters choose; withheld records come along only where they are meant."""
    assert run(root, "requeue", *arguments).exit_code == 0
    assert [span.scoring_id for span in waiting(root)] == requeued


def test_requeue_all_takes_every_dead_letter(root: Path):
    """One that is no span is named and fails the command, and stops no other."""
    result = run(root, "requeue", "--all")
    assert result.exit_code == 1
    assert [span.scoring_id for span in waiting(root)] == ["id-1", "id-2"]
    assert "not requeued: dead/w-1.00000001.3.letter: it is no span any more" in result.output
    assert listed(root) == ["id-3", "id-4"]


def test_requeue_of_nothing_is_fine_where_a_filter_was_given(root: Path):
    """Nothing that was asked for is left behind."""
    result = run(root, "requeue", "--reason", "other")
    assert (result.exit_code, result.stdout) == (0, "nothing was requeued\n")


def test_requeue_of_an_unknown_id_fails(root: Path):
    """It is named; the known one goes."""
    result = run(root, "requeue", "id-1", "nobody", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "requeued": 1,
        "routes": [{"route": ["http://mart", "one", "v1"], "count": 1}],
        "refused": [{"letter": "nobody", "reason": "there is no such letter"}],
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name letters by ID"),
        (["--set-subscription", "x"], "name letters by ID"),
        (["--all", "id-1"], "--all takes no ID"),
        (["--all", "--reason", "refused"], "--all takes no ID"),
        (["id-1", "--set-subscription", " "], "--set-subscription: must not be empty"),
        (["--all", "--request", "-"], "exactly one letter; more than one matches"),
        (["nobody", "--response", "-"], "exactly one letter; none matches"),
        (["id-1", "--request", "/no/such/file"], "--request"),
        (["id-1", "--route-from-settings"], "SCORESPAN_DATA_MART_URL is required"),
    ],
)
def test_requeue_refuses_wrong_use(root: Path, arguments: list[str], said: str):
    """Exit code 2, one sentence, and nothing is changed."""
    result = run(root, "requeue", *arguments, input="{}")
    assert result.exit_code == 2
    assert said in result.output
    assert len(listed(root)) == 4
    assert waiting(root) == []


def test_requeue_with_changes(root: Path, tmp_path: Path):
    """The span goes back with new bodies and ids, and a note of it."""
    (tmp_path / "request.json").write_bytes(REQUEST)
    result = run(
        root, "requeue", "id-2", "--request", str(tmp_path / "request.json"), "--response", "-",
        "--set-subscription", "s", "--set-binding", "b", "--set-deployment", "d",
        "--set-dialect", "fields_values", input="[1]",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (span,) = waiting(root)
    assert (bytes(span.request), bytes(span.response)) == (REQUEST, b"[1]")
    assert (span.subscription_id, span.binding_id, span.deployment_id) == ("s", "b", "d")
    assert span.dialect == "fields_values"
    assert (span.producer_id, span.sequence) == ("p", 2)
    assert span.notes[0].startswith("requeue: scoring.request, scoring.response, scoring.sub")


def test_columns_that_the_settings_had_wrong_can_be_given_anew(root: Path):
    """They stand in each entry: mending the setting alone would not reach those that wait."""
    result = run(
        root, "requeue", "id-2", "--set-feature-names", "age, amount",
        "--set-prediction-fields", '["risk, in %"]',
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (span,) = waiting(root)
    assert span.feature_names == ("age", "amount")
    assert span.details == {"prediction_fields": ["risk, in %"]}
    assert span.notes == ("requeue: scoring.feature.names, scoring.prediction.fields changed",)


@pytest.mark.parametrize("names", ["", "a,,b", "a,a"])
def test_columns_that_are_none_are_wrong_use(root: Path, names: str):
    """As they are in the settings; the letter stays."""
    result = run(root, "requeue", "id-2", "--set-feature-names", names)
    assert result.exit_code == 2
    assert "--set-feature-names" in result.output
    assert waiting(root) == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"fields": ', "--response: no valid JSON: Expecting value: line 1 column 12"),
        (b"", "--response: no valid JSON"),
        (b"[NaN]", "--response: no valid JSON: NaN is no JSON number"),
        (b'["\xff"]', "--response: not UTF-8 at byte 2"),
        (b"[" * 100_000, "--response: nested too deep"),
    ],
)
def test_a_new_body_that_is_no_json_is_wrong_use(root: Path, body: bytes, said: str):
    """The error names the option; the letter stays."""
    result = run(root, "requeue", "id-1", "--response", "-", input=body)
    assert result.exit_code == 2
    assert said in result.output
    assert "id-1" in listed(root)


def test_a_body_that_was_no_json_need_not_become_any(root: Path):
    """The span's content type says so."""
    bury(root, 5, "unknown_dialect", request_content_type="text/csv")
    assert run(root, "requeue", "id-5", "--request", "-", input=b"41,7200\n").exit_code == 0
    assert waiting(root)[0].request == b"41,7200\n"


def test_requeue_to_the_data_mart_of_the_settings(root: Path, monkeypatch: pytest.MonkeyPatch):
    """Old letters without a route, and records that another data mart has a place for."""
    monkeypatch.setenv("SCORESPAN_DATA_MART_URL", "http://127.0.0.1:8787")
    monkeypatch.setenv("SCORESPAN_DATA_MART_ID", "mine")
    bury(root, 5, "refused", route=None)
    refused = run(root, "requeue", "id-5")
    assert refused.exit_code == 1
    assert "w-1.00000001.5.letter: it does not say where it was to go" in refused.output
    assert "--route-from-settings says where" in refused.output
    result = run(root, "requeue", "id-5", "id-4", "--route-from-settings")
    assert result.exit_code == 0, result.output
    assert "2 records requeued to http://127.0.0.1:8787 (data mart mine)" in result.output
    (directory,) = directories(root)
    assert route_of(directory) == Route("http://127.0.0.1:8787", "mine")


def test_export_writes_json_lines(root: Path, tmp_path: Path):
    """One object a letter: all that is known, the span, and the bodies."""
    bury(root, 5, "refused", response=b"\xff\x00")
    target = tmp_path / "letters.jsonl"
    result = run(root, "export", str(target))
    assert result.exit_code == 0, result.output
    assert "5 letters exported" in result.stderr
    assert "1 file is no letter: dead/README" in result.stderr
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    lines = {line["scoring_id"]: line for line in map(json.loads, target.read_text().splitlines())}
    assert lines["id-1"]["request"] == REQUEST.decode()
    assert lines["id-1"]["request_encoding"] == "utf-8"
    assert (lines["id-1"]["code"], lines["id-1"]["answer"]) == ("refused", '{"errors": []}')
    assert lines["id-1"]["span"]["sequence"] == 1
    assert lines["id-4"]["kind"] == "withheld"
    assert (lines["id-4"]["response"], lines["id-4"]["response_encoding"]) == (None, None)
    assert lines["id-5"]["response_encoding"] == "base64"
    assert base64.b64decode(lines["id-5"]["response"]) == b"\xff\x00"
    assert lines["id-3"]["span"] is None
    assert base64.b64decode(lines["id-3"]["entry"]) == b"\x00rub\xffbish"
    assert "cannot be read" in lines["id-3"]["problem"]


def test_export_to_standard_output_takes_filters(root: Path):
    """For a pipe: lines, and nothing else."""
    result = run(root, "export", "-", "--reason", "refused")
    (line,) = result.stdout.splitlines()
    assert json.loads(line)["scoring_id"] == "id-1"


def test_export_replaces_a_file_only_when_told(root: Path, tmp_path: Path):
    """Whatever was readable by others before, the new file is not."""
    target = tmp_path / "letters.jsonl"
    target.write_text("precious")
    target.chmod(0o644)
    result = run(root, "export", str(target))
    assert result.exit_code == 2
    assert "--force" in result.output
    assert target.read_text() == "precious"
    assert run(root, "export", str(target), "--force").exit_code == 0
    assert len(target.read_text().splitlines()) == 4
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"letters.jsonl", "root"}


def test_export_where_nothing_can_be_written(root: Path, tmp_path: Path):
    """One sentence, exit code 1."""
    result = run(root, "export", str(tmp_path / "no" / "folder"))
    assert result.exit_code == 1
    assert "No such file" in result.output


def test_commands_that_read_change_nothing(root: Path, tmp_path: Path):
    """Letters are never removed by looking at them."""
    before = list(read_letters(root / DEAD)) + list(read_letters(root / WITHHELD))
    for arguments in (["list"], ["show", "id-1"], ["export", "-"], ["list", "--json"]):
        run(root, *arguments)
    assert list(read_letters(root / DEAD)) + list(read_letters(root / WITHHELD)) == before
