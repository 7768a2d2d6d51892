"""Attacks on the kernel: system calls that gain privileges or should not be reachable at all.

The numbers are those of x86-64 and arm64.
"""

from r1kit.verify.sandbox.attacks.attack import FAMILY, Attack

_CALL = """
import ctypes, os, platform, signal, struct
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(x86, arm, *arguments):
    number = arm if platform.machine() == 'aarch64' else x86
    longs = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return libc.syscall(ctypes.c_long(number), *longs)
def won(result):
    if result >= 0: print('@MARK@', flush=True)
"""


def _call(name: str, tries: str, code: str, *, effective: bool = False) -> Attack:
    return Attack(
        name,
        tries,
        ("seccomp", "no capabilities"),
        _CALL + code,
        effective=effective,
    )


_INT80 = """
import mmap
if platform.machine() == 'x86_64':
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(bytes.fromhex('b814000000cd80c3'))
    where = ctypes.addressof(ctypes.c_char.from_buffer(page))
    won(ctypes.CFUNCTYPE(ctypes.c_int)(where)())
"""
_CHROOT = """
os.mkdir('c'); os.chroot('c')
for _ in range(20): os.chdir('..')
os.chroot('.'); print(open('@SECRET_FILE@').read()); print('@MARK@')
"""

ALL = (
    _call("ptrace", "attach to another process", "won(call(101, 117, 16, @VICTIM@, 0, 0))",
          effective=True),
    _call("ptrace of the parent", "attach to the worker",
          "won(call(101, 117, 0x4206, os.getppid(), 0, 0))"),
    _call("another's memory", "process_vm_readv",
          "b = ctypes.create_string_buffer(8)\niov = struct.pack('PN', ctypes.addressof(b), 8)\n"
          "r = call(310, 270, @VICTIM@, iov, 1, struct.pack('PN', 4096, 8), 1, 0)\n"
          "won(0 if ctypes.get_errno() == 14 else r)", effective=True),
    _call("the worker's memory", "process_vm_writev",
          "b = ctypes.create_string_buffer(8)\niov = struct.pack('PN', ctypes.addressof(b), 8)\n"
          "r = call(311, 271, os.getppid(), iov, 1, iov, 1, 0)\n"
          "won(0 if ctypes.get_errno() == 14 else r)"),
    _call("another's descriptors", "pidfd_open and pidfd_getfd",
          "won(call(438, 438, call(434, 434, @VICTIM@, 0), 0, 0))", effective=True),
    _call("a user namespace", "unshare and be root there",
          "won(call(272, 97, 0x10000000))", effective=True),
    _call("namespaces by clone", "start a child as root of its own",
          "r = call(56, 220, 0x10000000 | 17, 0, 0, 0, 0)\nif r == 0: os._exit(0)\nwon(r)",
          effective=True),
    _call("namespaces by clone3", "the same by the newer call",
          "r = call(435, 435, struct.pack('QQQQQQQQQQQ', 0x10000000, 0, 0, 0, 17, *[0] * 6), 88)\n"
          "if r == 0: os._exit(0)\nwon(r)", effective=True),
    Attack("namespaces of a family", "the same where forking is allowed", ("seccomp",),
           _CALL + "won(call(272, 97, 0x10000000))", limits=FAMILY),
    _call("enter a namespace", "setns to the machine's",
          "won(call(308, 268, call(434, 434, @VICTIM@, 0), 0x20000000))"),
    _call("mount", "mount over the work folder",
          "won(libc.mount(b'x', b'@FOLDER@', b'tmpfs', 0, b''))"),
    _call("mount anew", "fsopen, the newer way", "won(call(430, 430, b'tmpfs', 0))"),
    _call("unmount", "uncover what is below", "won(libc.umount2(b'/', 2))"),
    _call("pivot_root", "take another root", "won(call(155, 41, b'.', b'.'))"),
    _call("chroot", "climb out of a root", _CHROOT),
    _call("bpf", "load into the kernel",
          "won(call(321, 280, 0, struct.pack('IIIII', 2, 4, 8, 1, 0) + bytes(100), 120))"),
    _call("io_uring", "do I/O past the filter",
          "won(call(425, 425, 4, ctypes.create_string_buffer(120)))"),
    _call("keys", "leave a key in the keyring",
          "won(call(248, 217, b'user', b'@NAME@', b'x', 1, -2))", effective=True),
    _call("read keys", "ask for somebody's key",
          "won(call(250, 219, 0, -3, 1, 0, 0))"),
    _call("perf", "watch the machine's counters",
          "won(call(298, 241, struct.pack('IIQ', 1, 112, 0) + bytes(96), 0, -1, -1, 0))"),
    _call("userfaultfd", "hold the kernel in a page fault", "won(call(323, 282, 1))"),
    _call("a program in memory", "memfd_create, then execute it",
          "won(call(319, 279, b'x', 0))", effective=True),
    _call("SysV shared memory", "leave a segment", "won(call(29, 194, 0, 4096, 0o1600))",
          effective=True),
    _call("SysV messages", "leave a queue", "won(call(68, 186, 0, 0o1600))"),
    _call("SysV semaphores", "leave a semaphore", "won(call(64, 190, 0, 1, 0o1600))"),
    _call("POSIX queue", "leave a queue", "won(call(240, 180, b'@NAME@', 0o102, 0o600, 0))"),
    _call("TIOCSTI", "type into the terminal",
          "import fcntl\nfor n in (0, 1, 2):\n  try: fcntl.ioctl(n, 0x5412, b'x'); won(0)\n"
          "  except OSError: pass\n  won(call(16, 29, n, 0x1_0000_5412, b'x'))"),
    _call("personality", "turn off address randomisation", "won(call(135, 92, 0x40000))",
          effective=True),
    _call("a kernel module", "load one", "won(call(175, 105, b'', 0, b''))"),
    _call("another kernel", "kexec", "won(call(320, 294, -1, -1, 0, b'', 0x7fff))"),
    _call("reboot", "restart the machine", "won(call(169, 142, 0, 0, 0, 0))"),
    _call("file handles", "open by number what has no path here",
          "h = ctypes.create_string_buffer(struct.pack('I', 128), 200)\nm = ctypes.c_int()\n"
          "won(call(303, 264, -100, b'@SECRET_FILE@', h, ctypes.byref(m), 0))", effective=True),
    _call("x32", "call by the other table", "won(call(0x40000000 + 39, -1))"),
    _call("32-bit calls", "call by the 32-bit table", _INT80),
    _call("root", "become root again", "os.setuid(0); print('@MARK@')"),
    _call("capabilities", "raise one",
          "won(libc.capset(struct.pack('Ii', 0x20080522, 0), struct.pack('6I', *[1 << 21] * 6)))"),
    _call("be dumped", "let others look in", "won(libc.prctl(4, 1, 0, 0, 0))", effective=True),
    _call("a clock", "set the time", "won(libc.clock_settime(0, struct.pack('qq', 0, 0)))"),
    _call("a host name", "rename the machine", "won(libc.sethostname(b'x', 1))"),
    _call("system log", "read the kernel's messages", "won(call(103, 116, 10, 0, 0))"),
    _call("a shell", "become /bin/sh",
          "os.execv('/bin/sh', ['sh', '-c', 'echo @MARK@'])", effective=True),
    _call("another Python", "become an unconfined interpreter",
          "import sys\nos.execv(sys.executable, ['python', '-c', 'print(\"@MARK@\")'])",
          effective=True),
    _call("a child program", "start a shell",
          "import subprocess; print(subprocess.check_output(['/bin/sh', '-c', 'echo @MARK@']))",
          effective=True),
    Attack("a child of a family", "start a shell where forking is allowed", ("seccomp",), _CALL +
           "import subprocess; print(subprocess.check_output(['/bin/sh', '-c', 'echo @MARK@']))",
           limits=FAMILY),
    _call("a setuid program", "run su", "os.execv('/bin/su', ['su', '-c', 'echo @MARK@'])"),
)  # fmt: skip
