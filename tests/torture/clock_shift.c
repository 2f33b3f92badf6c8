/* A process whose clock is wrong: what it asks the C library for the time of day is so much later.

   Loaded with LD_PRELOAD, it does nothing until `clock_shift` is called, in a process that has forked.
   The kernel's own times (of files, of processes) stay as they are, as on a disk of another machine. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>

static long shift; /* seconds */

void clock_shift(long seconds)
{
    shift = seconds;
}

int clock_gettime(clockid_t which, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (__typeof__(real))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(which, now);
    if (!result && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        now->tv_sec += shift;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    static int (*real)(struct timeval *restrict, void *restrict);
    if (!real)
        real = (__typeof__(real))dlsym(RTLD_NEXT, "gettimeofday");
    int result = real(now, zone);
    if (!result)
        now->tv_sec += shift;
    return result;
}

time_t time(time_t *into)
{
    static time_t (*real)(time_t *);
    if (!real)
        real = (__typeof__(real))dlsym(RTLD_NEXT, "time");
    time_t now = real(NULL) + shift;
    if (into)
        *into = now;
    return now;
}
