"""Admission: cheap checks on every frame before anything is parsed, one file each."""

from pierhead.admission.base import Admission, Answer, ConnectionAdmission, Drop, Verdict, in_order

__all__ = ["Admission", "Answer", "ConnectionAdmission", "Drop", "Verdict", "in_order"]
