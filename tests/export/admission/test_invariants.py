"""Invariants I1 to I17 of the admission, for any order of events."""

from export.admission.machine import machine_for, machine_settings

from devlib.export import admission

TestInvariants = machine_for(admission).TestCase
TestInvariants.settings = machine_settings(60)
