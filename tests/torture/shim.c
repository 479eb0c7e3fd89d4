/* What the torture preloads into the server: a wall clock that jumps, and syncs of the spool that fail.
 *
 * TORTURE_CONTROL names a file of three native 64-bit integers: seconds that are added to the wall clock; syncs of files below
 * a folder "spool" that are still to fail, each with EIO; and how many did. Whoever writes into the file changes it at once.
 * The monotonic clock is left alone, as it is when somebody sets the time of a machine. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct control {
    int64_t clock_s;
    int64_t failing_syncs;
    int64_t failed_syncs;
};

static struct control *control;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("TORTURE_CONTROL");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (map != MAP_FAILED)
        control = map;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int answer = real(clock, now);
    if (answer == 0 && control && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += __atomic_load_n(&control->clock_s, __ATOMIC_RELAXED);
    return answer;
}

static int fails(int file)
{
    char link[32], path[4096];
    if (!control || __atomic_load_n(&control->failing_syncs, __ATOMIC_RELAXED) <= 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    if (!strstr(path, "/spool/") || __atomic_fetch_sub(&control->failing_syncs, 1, __ATOMIC_RELAXED) <= 0)
        return 0;
    __atomic_fetch_add(&control->failed_syncs, 1, __ATOMIC_RELAXED);
    errno = EIO;
    return 1;
}

int fdatasync(int file)
{
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return fails(file) ? -1 : real(file);
}

int fsync(int file)
{
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return fails(file) ? -1 : real(file);
}
