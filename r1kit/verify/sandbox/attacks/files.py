"""Attacks that try to find, read or write files and secrets, and the data of other processes."""

from r1kit.verify.sandbox.attacks.attack import Attack

_FS = ("mounts", "landlock")
_WALK = """
import gc, sys
def look(value):
    if isinstance(value, bytes): value = value.decode('latin1')
    if isinstance(value, str) and 'r1-' + 'secret-' in value: print(value[:2000])
frame = sys._getframe()
while frame:
    for value in list(frame.f_locals.values()) + list(frame.f_globals.values()): look(value)
    frame = frame.f_back
for thing in gc.get_objects():
    if isinstance(thing, dict):
        for value in list(thing.values()): look(value)
    elif isinstance(thing, (list, tuple, set)):
        for value in list(thing): look(value)
"""


def _read(name: str, tries: str, path: str, *, effective: bool = True) -> Attack:
    return Attack(
        name,
        tries,
        _FS,
        f"print(open({path!r}, errors='replace').read())",
        effective=effective,
    )


def _write(name: str, tries: str, code: str, *, effective: bool = True) -> Attack:
    return Attack(name, tries, _FS, f"import os, sys\n{code}", effective=effective)


ALL = (
    Attack("gold in frames", "find the expected output in frames and objects", ("own process",),
           _WALK, effective=False, source="LiveCodeBench's grader, where it works"),
    Attack("secrets in the environment", "print the environment", ("empty environment",),
           "import os; print(dict(os.environ))"),
    Attack("caller's environment", "read it from /proc", _FS,
           "print(open('/proc/@CALLER@/environ').read(), '@MARK@')"),
    Attack("caller's memory", "open /proc/PID/mem", _FS,
           "open('/proc/@CALLER@/mem', 'rb'); print('@MARK@')"),
    Attack("caller's command line", "read it from /proc", _FS,
           "print(open('/proc/@CALLER@/cmdline').read()); print('@MARK@')"),
    Attack("caller's files", "open them through /proc/PID/fd", _FS,
           "import os; os.listdir('/proc/@CALLER@/fd'); print('@MARK@')"),
    _read("caller's root", "read through /proc/PID/root", "/proc/@CALLER@/root@SECRET_FILE@"),
    _read("caller's folder", "read through /proc/PID/cwd",
          "/proc/@CALLER@/cwd/../../../../../../@SECRET_FILE@"),
    _read("worker's root", "read through the parent's /proc/PID/root",
          "/proc/self/root@SECRET_FILE@"),
    _read("another user's file", "read a world-readable file", "@SECRET_FILE@"),
    _read("a path with dots", "climb out of the work folder",
          "../../../../../../../../@SECRET_FILE@"),
    Attack("a symbolic link", "read through a link in the work folder", _FS,
           "import os; os.symlink('@SECRET_FILE@', 'x'); print(open('x').read())"),
    Attack("a hard link", "read through a hard link", (*_FS, "seccomp"),
           "import os; os.link('@SECRET_FILE@', 'x'); print(open('x').read())", effective=False),
    Attack("inherited descriptors", "use what was left open", ("closed descriptors",),
           "import os, stat\nfor n in range(3, 1024):\n  try: mode = os.fstat(n).st_mode\n"
           "  except OSError: continue\n"
           "  if not stat.S_ISDIR(mode): print('@MARK@')", effective=False),
    Attack("inherited folders", "climb out of an open folder", _FS,
           "import os\nfor n in range(3, 1024):\n"
           "  try: print(os.read(os.open('../' * 12 + '@SECRET_FILE@', 0, dir_fd=n), 1000))\n"
           "  except OSError: pass", effective=False),
    Attack("accounts", "read /etc/passwd", _FS, "open('/etc/passwd').read(); print('@MARK@')"),
    Attack("root's home", "list /root", _FS,
           "import os; os.listdir('/root'); open('/root/.bashrc'); print('@MARK@')",
           effective=False),
    Attack("this package", "list r1kit's own folder", _FS,
           "import os; os.listdir('@REPO@'); print('@MARK@')"),
    Attack("other jobs", "list the folders of other jobs", _FS,
           "import os; os.listdir('/tmp'); print('@MARK@')"),
    Attack("the existence of a file", "stat a file outside", ("mounts",),
           "import os; os.stat('@SECRET_FILE@'); print('@MARK@')", only_strict=True),
    _write("a file outside", "write beside the secret", "open('@FOLDER@/x', 'w').write('x')"),
    _write("append to a file", "change somebody's file", "open('@PREY@', 'a').write('x')"),
    _write("truncate a file", "empty somebody's file", "os.truncate('@PREY@', 0)"),
    _write("remove a file", "remove somebody's file", "os.unlink('@PREY@')"),
    _write("rename a file", "move somebody's file", "os.rename('@PREY@', '@PREY@-moved')"),
    _write("change a mode", "chmod somebody's file", "os.chmod('@PREY@', 0o600)"),
    _write("change times", "set the times of somebody's file", "os.utime('@PREY@', (1, 1))"),
    _write("a link outside", "make a link beside the secret", "os.symlink('/', '@FOLDER@/x')"),
    _write("a folder outside", "make a folder beside the secret", "os.mkdir('@FOLDER@/x')"),
    _write("a pipe outside", "make a fifo beside the secret", "os.mkfifo('@FOLDER@/x')"),
    _write("left-overs in /tmp", "leave a file in /tmp", "open('/tmp/@NAME@-left', 'w')"),
    _write("left-overs in shared memory", "leave a file in /dev/shm",
           "open('/dev/shm/@NAME@-left', 'w')"),
    _write("the standard library", "poison it for the next job",
           "open(os.__file__, 'a').close(); print('@MARK@')", effective=False),
    _write("a device", "make and read the disk's device",
           "os.mknod('d', 0o60600, os.makedev(254, 0)); os.open('d', 0); print('@MARK@')",
           effective=False),
    Attack("a message to the next job", "leave a file in the work folder", ("mounts",),
           "open('left', 'w').write('x')",
           then="import os; 'left' in os.listdir('.') and print('@MARK@')"),
    Attack("a mode for the next job", "leave a mode on the work folder", ("mounts",),
           "import os; os.chmod('.', 0o711)",
           then="import os; os.stat('.').st_mode & 0o777 == 0o711 and print('@MARK@')"),
    Attack("a time for the next job", "leave a time on the work folder", ("mounts",),
           "import os; os.utime('.', (77, 77))",
           then="import os; os.stat('.').st_mtime == 77 and print('@MARK@')"),
    Attack("a module for the next job", "change a module in memory", ("own process",),
           "import math; math.pi = 3",
           then="import math; math.pi == 3 and print('@MARK@')", effective=False),
)  # fmt: skip
