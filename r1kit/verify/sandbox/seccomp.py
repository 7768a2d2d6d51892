"""A hand-built seccomp filter: the system calls that a candidate may make.

Source: seccomp(2), and the numbers of the kernel's x86-64 and arm64 tables. An allow list: a call
that is not listed here does not exist for the candidate (ENOSYS, so that libc falls back), which
covers mounts, namespaces, ptrace, bpf, io_uring, keys, perf, userfaultfd, modules, shared memory,
memfd, priorities and every call of a future kernel. A call by another architecture's table, x32
included, kills the process.

A filter cannot read memory, so it cannot check paths: Landlock and the mounts do that.
"""

from __future__ import annotations

import errno
import platform
import struct

ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""machine -> (column of numbers, AUDIT_ARCH)"""

_PLAIN = """
read 0 63 | write 1 64 | readv 19 65 | writev 20 66 | pread64 17 67 | pwrite64 18 68 |
preadv 295 69 | pwritev 296 70 | lseek 8 62 | close 3 57 | close_range 436 436 | open 2 - |
openat 257 56 | stat 4 - | fstat 5 80 | lstat 6 - | newfstatat 262 79 | statx 332 291 |
access 21 - | faccessat 269 48 | faccessat2 439 439 | readlink 89 - | readlinkat 267 78 |
getcwd 79 17 | chdir 80 49 | fchdir 81 50 | getdents 78 - | getdents64 217 61 | mmap 9 222 |
munmap 11 215 | mprotect 10 226 | mremap 25 216 | madvise 28 233 | brk 12 214 | mincore 27 232 |
msync 26 227 | futex 202 98 | futex_waitv 449 449 | set_robust_list 273 99 |
get_robust_list 274 100 | rseq 334 293 | set_tid_address 218 96 | exit 60 93 | exit_group 231 94 |
restart_syscall 219 128 | membarrier 324 283 | arch_prctl 158 - | rt_sigaction 13 134 |
rt_sigprocmask 14 135 | rt_sigreturn 15 139 | rt_sigpending 127 136 | rt_sigsuspend 130 133 |
rt_sigtimedwait 128 137 | sigaltstack 131 132 | pause 34 - | setitimer 38 103 | getitimer 36 102 |
alarm 37 - | getpid 39 172 | getppid 110 173 | gettid 186 178 | getuid 102 174 | geteuid 107 175 |
getgid 104 176 | getegid 108 177 | getresuid 118 148 | getresgid 120 150 | getgroups 115 158 |
getpgid 121 155 | getpgrp 111 - | getsid 124 156 | getpriority 140 141 | clock_gettime 228 113 |
clock_getres 229 114 | clock_nanosleep 230 115 | nanosleep 35 101 | gettimeofday 96 169 |
time 201 - | times 100 153 | getrusage 98 165 | uname 63 160 | sysinfo 99 179 | getcpu 309 168 |
sched_yield 24 124 | sched_getaffinity 204 123 | sched_getparam 143 121 |
sched_getscheduler 145 120 | sched_get_priority_max 146 125 | sched_get_priority_min 147 126 |
getrlimit 97 163 | setrlimit 160 164 | getrandom 318 278 | pipe 22 - | pipe2 293 59 | dup 32 23 |
dup2 33 - | dup3 292 24 | poll 7 - | ppoll 271 73 | select 23 - | pselect6 270 72 |
epoll_create 213 - | epoll_create1 291 20 | epoll_ctl 233 21 | epoll_wait 232 - |
epoll_pwait 281 22 | epoll_pwait2 441 441 | eventfd2 290 19 | timerfd_create 283 85 |
timerfd_settime 286 86 | timerfd_gettime 287 87 | sendto 44 206 | recvfrom 45 207 |
shutdown 48 210 | getsockname 51 204 | getpeername 52 205 | getsockopt 55 209 | wait4 61 260 |
waitid 247 95 | umask 95 166 | fsync 74 82 | fdatasync 75 83 | fadvise64 221 223 | flock 73 32 |
fstatfs 138 44 | statfs 137 43 |
"""
_WRITING = """
mkdir 83 - | mkdirat 258 34 | rmdir 84 - | unlink 87 - | unlinkat 263 35 | rename 82 - |
renameat 264 38 | renameat2 316 276 | symlink 88 - | symlinkat 266 36 | ftruncate 77 46 |
truncate 76 45 | fallocate 285 47 | utimensat 280 88 | chmod 90 - | fchmod 91 52 |
fchmodat 268 53 | copy_file_range 326 285 |
"""
"""Allowed only if the work folder is writable. Landlock does not control chmod and times."""
_CHECKED = """
clone 56 220 | clone3 435 435 | kill 62 129 | tgkill 234 131 | ioctl 16 29 | prctl 157 167 |
prlimit64 302 261 | socketpair 53 199 | fcntl 72 25 |
"""
_REFUSED = """
socket 41 198 | connect 42 203 | bind 49 200 | execve 59 221 | execveat 322 281 | setsid 112 157 |
setpgid 109 154 | setuid 105 146 | setgid 106 144 | chroot 161 51 | mount 165 40 | unshare 272 97 |
ptrace 101 117 | setpriority 141 140 | sched_setaffinity 203 122 | personality 135 92 |
memfd_create 319 279 | fork 57 - | vfork 58 - | link 86 - | linkat 265 37 |
"""
"""Denied with EPERM instead of ENOSYS, which gives a clearer error than "not implemented"."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER, _ARCH, _ARGUMENT = 0, 4, 16
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x50000
_X32 = 0x40000000

_CLONE_THREAD, _CLONE_NAMESPACES = 0x10000, 0x7E020080
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: queries and descriptor flags"""
_PRCTLS = (15, 16)  # the name of a thread
_OWNERS = (8, 10, 15)  # F_SETOWN, F_SETSIG, F_SETOWN_EX: signal another process indirectly
_AF_UNIX, _SOCK_STREAM, _TYPE_MASK = 1, 1, 0xF


def build(own_pid: int, may_fork: bool, may_write: bool) -> bytes:
    """Return the filter for the process `own_pid`. Raises KeyError on an unknown machine.

    With `may_fork`, it may signal any process that the kernel allows: those of its own namespace or
    uid.
    """
    column, arch = ARCHITECTURES[platform.machine()]
    checked_numbers = numbers(_CHECKED, column)
    code = [_op(_LOAD, _ARCH), _op(_EQUAL, arch, 1, 0), _op(_RETURN, _KILL), _op(_LOAD, _NUMBER)]
    if column == 0:
        code += [_op(_AT_LEAST, _X32, 0, 1), _op(_RETURN, _KILL)]
    table = _PLAIN + (_WRITING if may_write else "")
    for number in numbers(table, column).values():
        code += _case(number, [_op(_RETURN, _ALLOW)])
    for name, body in _checks(own_pid, may_fork).items():
        code += _case(checked_numbers[name], body)
    for name, number in numbers(_REFUSED, column).items():
        if name in ("fork", "vfork"):
            action = _op(_RETURN, _ALLOW) if may_fork else _fail(errno.EAGAIN)
        else:
            action = _fail(errno.EPERM)
        code += _case(number, [action])
    code.append(_fail(errno.ENOSYS))
    return b"".join(code)


def _checks(own_pid: int, may_fork: bool) -> dict[str, list[bytes]]:
    """Return the filter code by call that checks arguments; each body ends with a return."""
    thread_check = [_op(_ANY_BIT, _CLONE_THREAD, 1, 0), _fail(errno.EAGAIN)]
    signals = [_op(_RETURN, _ALLOW)] if may_fork else _only_if(0, (own_pid,), errno.EPERM)
    return {
        "clone": [
            _op(_LOAD, _ARGUMENT),
            *(_op(_ANY_BIT, _CLONE_NAMESPACES, 0, 1), _fail(errno.EPERM)),
            *([] if may_fork else thread_check),
            _op(_RETURN, _ALLOW),
        ],
        "clone3": [_fail(errno.ENOSYS)],  # its flags are in memory; libc falls back to clone
        "kill": signals,
        "tgkill": signals,
        "ioctl": _only_if(1, _IOCTLS, errno.ENOTTY),
        "prctl": _only_if(0, _PRCTLS, errno.EPERM),
        "fcntl": [
            _op(_LOAD, _ARGUMENT + 8),
            *(
                part
                for command in _OWNERS
                for part in (_op(_EQUAL, command, 0, 1), _fail(errno.EPERM))
            ),
            _op(_RETURN, _ALLOW),
        ],
        "prlimit64": _only_if(0, (0, own_pid), errno.EPERM),
        "socketpair": [
            *(_op(_LOAD, _ARGUMENT), _op(_EQUAL, _AF_UNIX, 1, 0), _fail(errno.EPERM)),
            *(_op(_LOAD, _ARGUMENT + 8), _op(_AND, _TYPE_MASK)),
            *(_op(_EQUAL, _SOCK_STREAM, 1, 0), _fail(errno.EPERM), _op(_RETURN, _ALLOW)),
        ],
    }


def numbers(table: str, column: int) -> dict[str, int]:
    """Return names and numbers of the calls that one architecture (a column) has."""
    rows = [row.split() for row in table.split("|") if row.strip()]
    return {row[0]: int(row[1 + column]) for row in rows if row[1 + column] != "-"}


def _only_if(argument: int, values: tuple[int, ...], error_number: int) -> list[bytes]:
    """Allow the call if the lower 32 bits of this argument are one of the values."""
    code = [_op(_LOAD, _ARGUMENT + 8 * argument)]
    for value in values:
        code += [_op(_EQUAL, value, 0, 1), _op(_RETURN, _ALLOW)]
    return [*code, _fail(error_number)]


def _case(number: int, body: list[bytes]) -> list[bytes]:
    return [_op(_EQUAL, number, 0, len(body)), *body]


def _fail(number: int) -> bytes:
    return _op(_RETURN, _ERRNO | number)


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
