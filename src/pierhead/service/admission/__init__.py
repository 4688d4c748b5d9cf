"""Admission: cheap checks on every frame before anything is parsed, one file each."""

from pierhead.service.admission.accounts import allow_accounts
from pierhead.service.admission.base import (
    Admission,
    Answer,
    ConnectionAdmission,
    Drop,
    Verdict,
    check_admission,
    first_verdict,
)
from pierhead.service.admission.networks import allow, deny
from pierhead.service.admission.rate import per_source_rate

__all__ = [
    "Admission",
    "Answer",
    "ConnectionAdmission",
    "Drop",
    "Verdict",
    "allow",
    "allow_accounts",
    "check_admission",
    "deny",
    "first_verdict",
    "per_source_rate",
]
