"""Trackers of experiments: services that keep the figures of many runs side by side."""

from df2s2_d2.training.trackers.choice import build_tracker_writers, check_trackers
from df2s2_d2.training.trackers.tracker import TrackedRun, Tracker
from df2s2_d2.training.trackers.tracker_writer import TrackerWriter

__all__ = [
    "TrackedRun",
    "Tracker",
    "TrackerWriter",
    "build_tracker_writers",
    "check_trackers",
]
