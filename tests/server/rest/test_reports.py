"""What a sync set aside is in its report: a rug pull that was caught is not passed over."""

from toolcrib_registry.types import EntryId, ServerName, ServerStatus
from toolcrib_server.rest.mapping.calls import report_out
from toolcrib_server.sync.report import SyncReport


def test_a_report_names_what_was_quarantined_and_marked() -> None:
    held, marked = EntryId("tool:files__write"), EntryId("tool:files__read")
    report = SyncReport(
        server=ServerName("files"),
        status=ServerStatus.READY,
        updated=(marked,),
        quarantined=(held,),
        marked=(marked, held),
        skipped=True,
    )
    shown = report_out(report).model_dump(by_alias=True)
    assert (shown["quarantined"], shown["marked"]) == ([held], [marked, held])
    assert shown["skipped"] is True
