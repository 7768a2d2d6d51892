"""Attacks on the network and on other processes."""

from r1kit.verify.sandbox.attacks.attack import FAMILY, SHORT, Attack

_NET = ("seccomp", "namespaces", "landlock")
_SIGNALS = ("namespaces", "landlock", "seccomp")
_S = "import socket, os\n"


def _signal(name: str, tries: str, code: str, *, effective: bool = False) -> Attack:
    code = f"import os, signal\n{code}"
    return Attack(name, tries, _SIGNALS, code, effective=effective)


ALL = (
    Attack("TCP", "connect to a server on this machine", _NET,
           _S + "socket.create_connection(('127.0.0.1', @PORT@)).send(b'x')"),
    Attack("UDP", "send a packet on this machine", _NET,
           _S + "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', @UDP@))"),
    Attack("unix socket", "connect to a server's socket file", _NET,
           _S + "s = socket.socket(socket.AF_UNIX); s.connect('@UNIX@'); s.send(b'x')"),
    Attack("abstract socket", "connect to a socket without a file", _NET,
           _S + "s = socket.socket(socket.AF_UNIX); s.connect('\\0@NAME@'); s.send(b'x')"),
    Attack("datagrams from a pair", "send from one half of a socket pair to a server", _NET,
           _S + "a, b = socket.socketpair(type=socket.SOCK_DGRAM); a.sendto(b'x', '@UNIX_DGRAM@')"),
    Attack("listen", "open a port", _NET,
           _S + "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); print('@MARK@')"),
    Attack("netlink", "ask the kernel about the network", _NET,
           _S + "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).send(b'x'); print('@MARK@')"),
    Attack("raw socket", "make packets by hand", _NET,
           _S + "socket.socket(type=socket.SOCK_RAW, proto=1); print('@MARK@')", effective=False),
    Attack("packet socket", "listen to everybody's packets", _NET,
           _S + "socket.socket(17, socket.SOCK_RAW); print('@MARK@')", effective=False),
    Attack("vsock", "talk to the machine's host", _NET,
           _S + "socket.socket(40, socket.SOCK_STREAM); print('@MARK@')", effective=False),
    _signal("kill somebody", "end another process", "os.kill(@VICTIM@, 9)", effective=True),
    _signal("stop somebody", "halt another process", "os.kill(@VICTIM@, 19)", effective=True),
    _signal("kill the caller", "end the trainer", "os.kill(@CALLER@, 9)"),
    _signal("kill the parent", "end the worker", "os.kill(os.getppid(), 9)"),
    _signal("stop the parent", "halt the worker", "os.kill(os.getppid(), 19)"),
    _signal("interrupt the parent", "Ctrl-C for the worker", "os.kill(os.getppid(), 2)"),
    _signal("kill the first process", "end process 1",
            "os.kill(1, 9); os.kill(1, 2); os.kill(1, 19)"),
    _signal("kill all processes", "signal -1", "os.kill(-1, 9)"),
    _signal("kill the group", "signal its process group", "os.killpg(0, 2); os.kill(0, 19)"),
    _signal("signals by a detour", "have a pipe signal somebody",
            "import fcntl\nr, w = os.pipe()\nfcntl.fcntl(r, 10, 9)\nfcntl.fcntl(r, 8, @VICTIM@)\n"
            "fcntl.fcntl(r, 4, os.O_ASYNC)\nos.write(w, b'x')\nprint('@MARK@')", effective=True),
    _signal("somebody's priority", "slow another process",
            "os.setpriority(os.PRIO_PROCESS, @VICTIM@, 19)", effective=True),
    _signal("somebody's limits", "change another's limits",
            "import resource\nresource.prlimit(@VICTIM@, resource.RLIMIT_NOFILE, (9, 9))\n"
            "print('@MARK@')", effective=True),
    _signal("the worker's limits", "take the worker's files",
            "import resource\nresource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (3, 3))\n"
            "print('@MARK@')"),
    _signal("somebody's cores", "move another process",
            "os.sched_setaffinity(@VICTIM@, os.sched_getaffinity(0)); print('@MARK@')",
            effective=True),
    Attack("own priority", "get ahead of others", ("no capabilities", "seccomp"),
           "import os; os.nice(-5); print('@MARK@')", effective=False),
    Attack("a daemon", "outlive the run", ("kill of the whole tree",),
           "import os, time\nif os.fork() == 0:\n  os.fork() and os._exit(0)\n  time.sleep(30)\n"
           "print('done')", limits=FAMILY, effective=False, source="terminal-bench #1267"),
    Attack("a daemon in a new session", "outlive the run by setsid", ("kill of the whole tree",),
           "import os, time\nif os.fork() == 0:\n"
           "  try: os.setsid()\n  except OSError: pass\n  time.sleep(30)\n",
           limits=FAMILY, effective=False, source="terminal-bench #1267"),
    Attack("a daemon that writes", "write after its parent's end", ("kill of the whole tree",),
           "import os, time\nif os.fork() == 0:\n  time.sleep(0.05); print('@MARK@', flush=True)\n",
           limits=FAMILY, effective=False, source="terminal-bench #1267"),
    Attack("a race of forks", "fork faster than it is killed", ("kill of the whole tree",),
           "import os, time\nwhile True:\n  try:\n    if os.fork(): os._exit(0)\n"
           "  except OSError: pass\n", limits=FAMILY, effective=False),
    Attack("forget the parent", "not die with the worker", ("seccomp",),
           "import ctypes\nif ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0: print('@MARK@')"),
    Attack("fake protocol on stdout", "speak like the worker", ("own process",),
           "import os, json\nhead = json.dumps({'how': 'exit', 'code': 0, 'wall': 0, 'cpu': 0,"
           " 'sizes': [0, 0]}).encode()\nfor n in range(1, 32):\n"
           "  try: os.write(n, len(head).to_bytes(4, 'big') + head)\n  except OSError: pass\n"
           "os._exit(3)", ends=("exit",), effective=False),
    Attack("fake readiness", "report that it is confined", ("closed descriptors",),
           "import os\nfor n in range(3, 64):\n  try: os.write(n, b'gone')\n"
           "  except OSError: pass\n", ends=("exit",), effective=False),
    Attack("early exit", "end before the tests", ("comparison outside",),
           "import os; os._exit(0)\nprint('@MARK@')", ends=("exit",), effective=False),
    Attack("close everything", "lose its own streams", ("own process",),
           "import os; os.closerange(0, 64); os._exit(5)", ends=("exit",), effective=False),
    Attack("silence", "close its streams and stay", ("wall clock",),
           "import os, time; os.closerange(0, 64); time.sleep(9)",
           limits=SHORT, ends=("wall",), effective=False),
)  # fmt: skip
