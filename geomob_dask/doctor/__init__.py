"""Whether a job will run on a cluster and a store: checks of what costs a night if it is found out later.

A module holds the checks of one subject: functions from what was asked to findings. `examination` asks and calls them.
"""
