"""Runs one server and reaps whatever it leaves behind, so that the time of every process that it ever had is counted.

Usage: nanny.py COMMAND ... . Exim's deliveries are nobody's children when their session ends: they become this process's, and their times
and what they wrote are added to it as the system does for children. SIGTERM is handed on to the command.
"""

import ctypes
import os
import signal
import subprocess
import sys

PR_SET_CHILD_SUBREAPER = 36

ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
child = subprocess.Popen(sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: os.kill(child.pid, signal.SIGTERM))
while True:
    try:
        pid, status = os.wait()
    except ChildProcessError:
        break
    if pid == child.pid:
        code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 0)
