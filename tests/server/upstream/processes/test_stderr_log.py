"""What servers say is kept: bounded, private, masked, and harmless to look at."""

import stat

from hypothesis import given
from hypothesis import strategies as st

from toolcrib_registry.types import ServerName
from toolcrib_server.upstream.processes.stderr_log import MOST_BYTES, StderrLogs, StderrWriter

NAME = ServerName("time")


def texts(lines):
    return [line.partition(" ")[2] for line in lines]


def test_lines_are_read_back_in_order_with_their_times(tmp_path):
    logs = StderrLogs(tmp_path / "logs")
    writer = StderrWriter(logs, NAME, str)
    writer.begin(42)
    writer.feed(b"one\ntw")
    writer.feed(b"o\nlast")
    writer.end(3)
    read = logs.read(NAME, lines=10)
    assert texts(read) == [
        "--- started as process 42",
        "one",
        "two",
        "last",
        "--- ended with exit code 3",
    ]
    assert all(line[:2] == "20" and line.partition(" ")[0].endswith("Z") for line in read)
    assert texts(logs.read(NAME, lines=2)) == ["last", "--- ended with exit code 3"]


def test_servers_have_logs_of_their_own_and_none_before_they_spoke(tmp_path):
    logs = StderrLogs(tmp_path)
    logs.write(NAME, ["hello"])
    assert logs.read(ServerName("other"), lines=5) == ()
    assert texts(StderrLogs(tmp_path).read(NAME, lines=5)) == ["hello"]
    logs.remove(NAME)
    assert logs.read(NAME, lines=5) == ()


def test_only_the_owner_can_read_it(tmp_path):
    logs = StderrLogs(tmp_path / "logs")
    logs.write(NAME, ["hello"])
    (file,) = (tmp_path / "logs").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_server_that_talks_without_end_takes_a_bounded_place(tmp_path):
    logs = StderrLogs(tmp_path)
    writer = StderrWriter(logs, NAME, str)
    for number in range(2000):
        writer.feed(b"%04d %s\n" % (number, b"x" * 995))
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["time.log", "time.log.1"]
    assert sum(file.stat().st_size for file in files) < 2.1 * MOST_BYTES
    assert texts(logs.read(NAME, lines=1))[0].startswith("1999 ")
    assert len(logs.read(NAME, lines=5000)) > 200


def test_a_line_without_end_is_cut(tmp_path):
    logs = StderrLogs(tmp_path)
    writer = StderrWriter(logs, NAME, str)
    for _ in range(100):
        writer.feed(b"x" * 65536)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 2.1 * MOST_BYTES


def test_secrets_are_masked_before_a_line_is_cut(tmp_path):
    logs = StderrLogs(tmp_path)
    writer = StderrWriter(logs, NAME, lambda line: line.replace("s3cr3t", "***"))
    writer.feed(b"x" * 3997 + b"s3cr3t\ntoken=s3c")
    writer.feed(b"r3t\n")
    kept = "".join(logs.read(NAME, lines=5))
    assert "s3c" not in kept
    assert "token=***" in kept


def test_a_name_leads_to_no_other_folder(tmp_path):
    logs = StderrLogs(tmp_path / "logs")
    logs.write(ServerName("../../up"), ["hello"])
    assert [each.name for each in tmp_path.iterdir()] == ["logs"]


def test_a_folder_that_cannot_be_written_ends_nothing(tmp_path):
    (tmp_path / "logs").write_text("in the way")
    logs = StderrLogs(tmp_path / "logs")
    logs.write(NAME, ["hello"])
    assert logs.read(NAME, lines=5) == ()


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_no_line_steers_a_terminal(tmp_path_factory, chunks):
    logs = StderrLogs(tmp_path_factory.mktemp("logs"))
    writer = StderrWriter(logs, NAME, str)
    for chunk in chunks:
        writer.feed(chunk)
    writer.end(0)
    assert all(c.isprintable() or c == "\t" for line in logs.read(NAME, lines=99) for c in line)
