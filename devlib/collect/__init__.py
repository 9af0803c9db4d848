"""Ask networks, derive states, write one snapshot."""

from devlib.collect.answers import Failure
from devlib.collect.asking import Progress, nobody_serves
from devlib.collect.collection import Collection, Collector
from devlib.collect.following import Beside, Flush, FlushKind, Follower, require_feed
from devlib.collect.leading import Leadership, StandBy, Tenure, beating
from devlib.collect.networks import Networks, Served, configured_networks
from devlib.collect.probing import ProbedLine, probe_lines
from devlib.collect.rule import EXPIRY_SLACK, Evidence, Known, Verdict, judge, newest, states_sql
from devlib.collect.schedule import keep_collecting, parse_distance
from devlib.collect.status import DeviceStatus, LineStatus, ask_device
from devlib.collect.succession import keep_following
from devlib.collect.waiting import run_blocking

__all__ = [
    "EXPIRY_SLACK",
    "Beside",
    "Collection",
    "Collector",
    "DeviceStatus",
    "Evidence",
    "Failure",
    "Flush",
    "FlushKind",
    "Follower",
    "Known",
    "Leadership",
    "LineStatus",
    "Networks",
    "ProbedLine",
    "Progress",
    "Served",
    "StandBy",
    "Tenure",
    "Verdict",
    "ask_device",
    "beating",
    "configured_networks",
    "judge",
    "keep_collecting",
    "keep_following",
    "newest",
    "nobody_serves",
    "parse_distance",
    "probe_lines",
    "require_feed",
    "run_blocking",
    "states_sql",
]
