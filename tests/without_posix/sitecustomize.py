"""Takes away from every Python process what Windows does not have. A test puts this folder on PYTHONPATH.

Libraries that have a way of their own on Windows (locks, memory facts) are loaded before. Their choice is not ours.
"""

import os
import signal
import sys

import filelock  # noqa: F401
import psutil  # noqa: F401

MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
SIGNALS = (
    "SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 SIG_BLOCK SIG_SETMASK"
    " SIG_UNBLOCK alarm pause pthread_kill pthread_sigmask setitimer sigpending sigwait"
)
CALLS = "chown fork forkpty geteuid getpgid getpgrp getuid killpg lchown mkfifo nice setpgid setpgrp setsid"

for name in MODULES:
    sys.modules[name] = None  # type: ignore[assignment]
for module, names in ((signal, SIGNALS), (os, CALLS)):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
