"""A process gives up what a hand-in has no need of; the operating system sees to it, and there is no way back.

Under Linux, without being root and with no other program: limits of memory, time and size of files (setrlimit), no capability,
writing only in a folder of its own, reading only what Python needs, no TCP and no signal to others (Landlock, kernel 5.13;
for the last two 6.7 and 6.12), no new process, program, socket or change of a file's mode (a seccomp filter, x86-64 and
aarch64). Elsewhere some of it is missing, and `confine` says what.

The numbers are those of the kernel's headers (asm/unistd_64.h, asm-generic/unistd.h, linux/landlock.h, linux/seccomp.h).
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

PROCESSES, NETWORK, FILES, MEMORY = "processes", "network", "files", "memory"
EVERYTHING = (MEMORY, FILES, PROCESSES, NETWORK)

# System calls that are refused: the name, and its number on x86-64 and on aarch64 ("-" where there is none).
REFUSED = """
fork 57 -, vfork 58 -, execve 59 221, execveat 322 281, socket 41 198, socketpair 53 199, kill 62 129, tkill 200 130,
tgkill 234 131, rt_sigqueueinfo 129 138, rt_tgsigqueueinfo 297 240, pidfd_send_signal 424 424, pidfd_open 434 434,
ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, unshare 272 97, setns 308 268,
io_uring_setup 425 425, bpf 321 280, perf_event_open 298 241, userfaultfd 323 282, keyctl 250 219, add_key 248 217,
request_key 249 218, chmod 90 -, fchmod 91 52, fchmodat 268 53, fchmodat2 452 452, chown 92 -, fchown 93 55, lchown 94 -,
fchownat 260 54, utime 132 -, utimes 235 -, futimesat 261 -, utimensat 280 88, setxattr 188 5, lsetxattr 189 6,
fsetxattr 190 7, setrlimit 160 164, truncate 76 45
"""
# By machine: its name for the filter, its column above, and the numbers of clone, clone3 and prlimit64.
MACHINES = {"x86_64": (0xC000003E, 1, (56, 435, 302)), "aarch64": (0xC00000B7, 2, (220, 435, 261))}
EPERM, ENOSYS, CLONE_THREAD = 1, 38, 0x10000
KILL, ALLOW, REFUSE = 0x80000000, 0x7FFF0000, 0x00050000


def confine(folder: Path, readable: Sequence[Path], memory: int, seconds: int, file_size: int) -> tuple[str, ...]:
    """Confine this process for good; returns what is guarded, of `EVERYTHING`.

    memory: bytes more than it has now; seconds: of the processor.
    """
    guarded = []
    if os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
        if sys.platform == "linux":  # others count what is only reserved, or do not count at all
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * os.sysconf("SC_PAGE_SIZE") + memory
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            guarded.append(MEMORY)
    if sys.platform != "linux":
        return tuple(guarded)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    if _landlock(libc, folder, readable):
        guarded.append(FILES)
    # no capability, root or not: else the limits could be raised again
    header, none = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    without = libc.capset(header, none) == 0
    if without and _filter(libc):
        guarded += [PROCESSES, NETWORK]
    return tuple(guarded)


def _landlock(libc: ctypes.CDLL, folder: Path, readable: Sequence[Path]) -> bool:
    """Leave files outside `folder` unwritten, and unread what is not `readable`; False where the kernel cannot do that."""
    create, add, restrict = 444, 445, 446  # the same on every machine
    abi = libc.syscall(create, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if abi < 1:
        return False
    handled = (1 << (13 + min(abi - 1, 2))) - 1 & ~1  # what this kernel knows, but for starting a program
    reading = 1 << 2 | 1 << 3
    rules = struct.pack("=QQQ", handled, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = libc.syscall(create, rules[:size], ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    of_a_file = handled & (1 << 1 | 1 << 2 | 1 << 14)
    allowed = [(folder, handled), (Path("/dev/null"), of_a_file), *((path, reading) for path in readable)]
    for path, rights in allowed:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        rights &= handled if path.is_dir() else of_a_file
        libc.syscall(add, ruleset, 1, struct.pack("=Qi", rights, place), ctypes.c_uint32(0))
        os.close(place)
    done = libc.syscall(restrict, ruleset, ctypes.c_uint32(0)) == 0
    os.close(ruleset)
    return bool(done)


def _filter(libc: ctypes.CDLL) -> bool:
    """Refuse the system calls of `REFUSED`; False where they have no numbers, or no filter is taken."""
    if platform.machine() not in MACHINES or sys.maxsize < 2**32:
        return False
    arch, column, (clone, clone3, prlimit64) = MACHINES[platform.machine()]
    refused = [int(call.split()[column]) for call in REFUSED.split(",") if call.split()[column] != "-"]
    load, equal, at_least, bits, end = 0x20, 0x15, 0x35, 0x45, 0x06

    def step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("=HBBI", code, yes, no, value)

    program = [step(load, 4), step(equal, arch, 1, 0), step(end, KILL), step(load, 0)]
    program += [step(at_least, 0x40000000, 0, 1), step(end, REFUSE | ENOSYS)]  # the other numbering of x86-64
    for number in refused:
        program += [step(equal, number, 0, 1), step(end, REFUSE | EPERM)]
    program += [step(equal, clone3, 0, 1), step(end, REFUSE | ENOSYS)]  # the C library then takes clone
    program += [step(equal, clone, 0, 4), step(load, 16), step(bits, CLONE_THREAD, 1, 0)]
    program += [step(end, REFUSE | EPERM), step(end, ALLOW)]  # threads may be made
    program += [step(equal, prlimit64, 0, 5), step(load, 32), step(equal, 0, 0, 2)]
    program += [step(load, 36), step(equal, 0, 1, 0), step(end, REFUSE | EPERM)]  # limits may be read
    program += [step(end, ALLOW)]
    code = ctypes.create_string_buffer(b"".join(program))
    fprog = struct.pack("@HP", len(program), ctypes.addressof(code))
    return bool(libc.prctl(22, 2, ctypes.c_char_p(fprog), 0, 0) == 0)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
