#!/usr/bin/env python3
"""A disk whose power can be cut: one file, served through FUSE, for a loop device to stand on.

Usage: disk.py IMAGE MOUNTPOINT, as root. MOUNTPOINT/disk has the octets of IMAGE, which itself stays as it was. What is written and
not flushed is kept apart, as in the cache of a disk. One command a line on standard input, each answered by one line:

  cut SEED FILE   from now on every write and flush fails; FILE becomes the disk as it is found when the power comes back:
                  all that was flushed, and of the rest any sectors of 512 octets, each by the toss of a coin
  fail COUNT      the next COUNT flushes fail, and what they should have flushed is lost, as with a disk that gives up
  counts          how many writes and flushes there were

Ends with its standard input. The protocol is the kernel's include/uapi/linux/fuse.h, version 7.31.
"""

import ctypes
import errno
import mmap
import os
import random
import shutil
import stat
import struct
import sys
import tempfile
import threading

SECTOR = 512
MAX_WRITE = 1 << 20
ROOT, DISK = 1, 2

FORGET, LOOKUP, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS = 2, 1, 3, 4, 14, 15, 16, 17
RELEASE, FSYNC, FLUSH, INIT, OPENDIR, RELEASEDIR, INTERRUPT, DESTROY, BATCH_FORGET = 18, 20, 25, 26, 27, 29, 36, 38, 42
WITHOUT_REPLY = {FORGET, INTERRUPT, BATCH_FORGET}
BIG_WRITES, MAX_PAGES = 1 << 5, 1 << 22


class Disk:
    """The octets as they are read, those that are durable, and what is between."""

    def __init__(self, image):
        self.size = os.path.getsize(image)
        self.now, self.durable = self.copy(image), self.copy(image)
        self.pending = []
        self.writes = self.flushes = self.failures = 0
        self.is_cut = False
        self.lock = threading.Lock()

    def copy(self, image):
        file = tempfile.NamedTemporaryFile()
        shutil.copyfile(image, file.name)
        return mmap.mmap(file.fileno(), self.size)

    def read(self, offset, size):
        return self.now[offset : min(offset + size, self.size)]

    def write(self, offset, octets):
        with self.lock:
            if self.is_cut:
                return -errno.EIO
            self.writes += 1
            self.now[offset : offset + len(octets)] = octets
            self.pending.append((offset, octets))
            return 0

    def flush(self):
        with self.lock:
            if self.is_cut:
                return -errno.EIO
            self.flushes += 1
            if self.failures:
                self.failures -= 1
                self.pending.clear()
                return -errno.EIO
            for offset, octets in self.pending:
                self.durable[offset : offset + len(octets)] = octets
            self.pending.clear()
            return 0

    def cut(self, seed, to):
        with self.lock:
            self.is_cut = True
            toss = random.Random(seed)
            kept = torn = 0
            for offset, octets in self.pending:
                for at in range(0, len(octets), SECTOR):
                    torn += 1
                    if toss.random() < 0.5:
                        kept += 1
                        sector = octets[at : at + SECTOR]
                        self.durable[offset + at : offset + at + len(sector)] = sector
        with open(to, "wb") as file:
            file.truncate(self.size)
            blank = bytes(MAX_WRITE)
            for at in range(0, self.size, MAX_WRITE):
                piece = self.durable[at : at + MAX_WRITE]
                if piece != blank[: len(piece)]:
                    file.seek(at)
                    file.write(piece)
        return f"cut: {self.writes} writes, {self.flushes} flushes, {kept} of {torn} unflushed sectors stayed"


def attributes(node, size):
    mode = stat.S_IFDIR | 0o755 if node == ROOT else stat.S_IFREG | 0o600
    return struct.pack("<6Q10I", node, size, -(-size // 512), 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(disk, opcode, node, body):
    """An error, or the octets of a reply."""
    size = disk.size if node == DISK else 0
    if opcode == INIT:
        return struct.pack("<4I2H2I2H2I36x", 7, 31, 0, BIG_WRITES | MAX_PAGES, 12, 9, MAX_WRITE, 1, MAX_WRITE // 4096, 0, 0, 0)[:64]
    if opcode == LOOKUP:
        if body.rstrip(b"\0") != b"disk":
            return -errno.ENOENT
        return struct.pack("<4Q2I", DISK, 0, 3600, 3600, 0, 0) + attributes(DISK, disk.size)
    if opcode in (GETATTR, SETATTR):
        return struct.pack("<Q2I", 3600, 0, 0) + attributes(node, size)
    if opcode in (OPEN, OPENDIR):
        return struct.pack("<Q2I", 0, 0, 0)
    if opcode == READ:
        _, offset, count = struct.unpack_from("<2QI", body)
        return disk.read(offset, count)
    if opcode == WRITE:
        _, offset, count = struct.unpack_from("<2QI", body)
        error = disk.write(offset, body[40 : 40 + count])
        return error or struct.pack("<2I", count, 0)
    if opcode == FSYNC:
        return disk.flush() or b""
    if opcode == STATFS:
        return struct.pack("<5Q4I24x", 0, 0, 0, 0, 0, 4096, 255, 4096, 0)
    if opcode in (RELEASE, RELEASEDIR, FLUSH, DESTROY):
        return b""
    return -errno.ENOSYS


def serve(disk, fuse):
    while True:
        try:
            request = os.read(fuse, MAX_WRITE + 4096)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.ENOENT):
                continue
            # ENODEV: it was unmounted.
            return
        _, opcode, unique, node = struct.unpack_from("<2I2Q", request)
        reply = answer(disk, opcode, node, request[40:])
        if opcode in WITHOUT_REPLY:
            continue
        error, octets = (reply, b"") if isinstance(reply, int) else (0, reply)
        try:
            os.write(fuse, struct.pack("<IiQ", 16 + len(octets), error, unique) + octets)
        except OSError:
            # Nobody waits for it any more.
            pass


def main():
    image, mountpoint = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    fuse = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"torture", mountpoint.encode(), b"fuse", 0, options) != 0:
        sys.exit(f"cannot mount {mountpoint}: {os.strerror(ctypes.get_errno())}")
    disk = Disk(image)
    threading.Thread(target=serve, args=(disk, fuse), daemon=True).start()
    print("ready", flush=True)
    try:
        for line in sys.stdin:
            command, *rest = line.split()
            if command == "cut":
                said = disk.cut(int(rest[0]), rest[1])
            elif command == "fail":
                disk.failures = int(rest[0])
                said = "ok"
            else:
                said = f"{disk.writes} writes, {disk.flushes} flushes, {disk.failures} still to fail"
            print(said, flush=True)
    finally:
        libc.umount2(mountpoint.encode(), 2)


main()
