"""Jobs that run without the terminal that started them: submitted to a queue, or in a session of their own.

`records` keeps what is known of each in the store, `places` says where drivers run, `driver` runs there, `submitting`
and `following` are what a user does, and `standing` tells how a submission stands.
"""
