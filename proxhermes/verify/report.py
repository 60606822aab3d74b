"""Verification results as JSON and as JUnit XML. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as ET

from proxhermes.redaction import redact
from proxhermes.verify.model import Report, Result, Verdict


def as_dict(reports: Sequence[Report]) -> dict[str, Any]:
    """What `verify --json` prints: one entry an agent, one a check; `ok` says what the exit code says."""
    return {
        "ok": all(report.ok for report in reports),
        "agents": [
            {
                "vmid": report.vmid,
                "hostname": report.hostname,
                "hermes_version": report.hermes_version and redact(report.hermes_version),
                "ok": report.ok,
                "counts": {verdict.value: report.count(verdict) for verdict in Verdict},
                "checks": [_check(result) for result in report],
            }
            for report in reports
        ],
    }


def _check(result: Result) -> dict[str, Any]:
    return {
        "id": result.check.id,
        "layer": result.check.layer.value,
        "question": result.check.question,
        "verdict": result.finding.verdict.value,
        "evidence": redact(result.finding.evidence),
        "hint": result.finding.hint,
        "seconds": round(result.seconds, 3),
    }


def as_junit(reports: Sequence[Report]) -> str:
    """A JUnit XML document: a test suite an agent, a test case a check; warnings pass and stand in system-out."""
    root = ET.Element("testsuites", name="proxhermes verify")
    for report in reports:
        suite = ET.SubElement(
            root,
            "testsuite",
            name=f"agent {report.vmid} ({report.hostname})",
            tests=str(len(report.results)),
            failures=str(report.count(Verdict.FAIL)),
            skipped=str(report.count(Verdict.SKIP)),
            errors="0",
            time=f"{sum(result.seconds for result in report):.3f}",
        )
        for result in report:
            _case(suite, report, result)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, report: Report, result: Result) -> None:
    finding = result.finding
    evidence = redact(finding.evidence)  # without control characters, too, which XML 1.0 cannot write
    case = ET.SubElement(
        suite,
        "testcase",
        classname=f"{report.vmid}.{result.check.layer.value}",
        name=f"{result.check.id}: {result.check.question}",
        time=f"{result.seconds:.3f}",
    )
    if finding.verdict is Verdict.FAIL:
        ET.SubElement(case, "failure", message=evidence).text = finding.hint
    elif finding.verdict is Verdict.SKIP:
        ET.SubElement(case, "skipped", message=evidence)
    else:
        ET.SubElement(case, "system-out").text = f"{finding.verdict.value}: {evidence}"
