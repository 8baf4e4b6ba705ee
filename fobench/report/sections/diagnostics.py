"""What the learners have become: alignment with their feedback, weights, goodness, and the depth at which samples leave."""

from __future__ import annotations

from fobench.report.document import Block, Heading, Note, Prose
from fobench.report.inputs import ReportInput
from fobench.report.states import alignment, exits, goodness, weights
from fobench.report.wording import absences

PARTS = (
    (alignment, "Alignment with the feedback"),
    (weights, "Distribution of weights"),
    (goodness, "Goodness by depth"),
    (exits, "Depth of exits"),
)

STATE_TRACERS = ("alignment", "weights", "goodness")

METHOD = (
    "Read between windows off the state and the predictions of the measured learners, so that no energy and no time has any of "
    "it in. A suite asks for it by `tracers: [..., alignment, weights, goodness]`; exits are counted wherever a learner has them."
)


def diagnostics(report: ReportInput) -> list[Block]:
    """Return what is there of angles, weight distributions, goodness and exit depths, and why the rest is not."""
    parts = [
        block for part, title in PARTS for found in [part(report)] if found for block in (Heading(title, 2), *found)
    ]
    if not parts:
        return [Heading("Diagnostics"), Note(f"Nothing was looked at. {METHOD}")]
    missing = absences(report, STATE_TRACERS)
    notes = [Note(f"Absent for some learners: {missing}.")] if missing else []
    return [Heading("Diagnostics"), Prose(METHOD), *parts, *notes]
