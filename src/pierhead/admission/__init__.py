"""Admission: cheap checks on every frame before anything is parsed, one file each."""

from pierhead.admission.accounts import allow_accounts
from pierhead.admission.base import Admission, Answer, ConnectionAdmission, Drop, Verdict, in_order
from pierhead.admission.networks import allow, deny
from pierhead.admission.rate import per_source_rate

__all__ = [
    "Admission",
    "Answer",
    "ConnectionAdmission",
    "Drop",
    "Verdict",
    "allow",
    "allow_accounts",
    "deny",
    "in_order",
    "per_source_rate",
]
