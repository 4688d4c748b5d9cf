"""What BIND and ldns have signed matches for us, and what is changed afterwards does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.interop.signing import SIGNINGS, Signing, sign

from pierhead.protocols.dns.services.zones import ZoneFile
from pierhead.protocols.dns.zone.verify import verify


@pytest.mark.rfc("4035", "5.3.3")
@pytest.mark.parametrize("signing", SIGNINGS, ids=lambda signing: signing.origin)
def test_signatures_of_other_signers_match(signing: Signing, program, tmp_path: Path) -> None:
    signed = sign(signing, tmp_path / "signed", program)
    zone = ZoneFile(signed.file, signing.origin).load(verify=verify)
    assert zone.is_signed
    assert [fault for fault in zone.warnings if fault.code == "signature"] == []

    text = signed.file.read_text()
    changed = re.sub(r"(\sSOA\s+\S+\s+)\S+", r"\1somebody.else.", text, count=1)
    assert changed != text
    signed.file.write_text(changed)
    (found,) = [
        fault
        for fault in ZoneFile(signed.file, signing.origin).load(verify=verify).warnings
        if fault.code == "signature"
    ]
    assert f"the signature of {signing.origin} SOA does not match" in found.message
