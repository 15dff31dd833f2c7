/* The machine under a node as a test wants it: a clock that is wrong, a disk that stands still. It is loaded before the
   node's own libraries (LD_PRELOAD), so what is tested is the program that is shipped. CHANCERY_MACHINE names the file in
   which the test says what it wants, as `struct machine`. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct machine {
    _Atomic int64_t ahead_ns;     /* of the true time */
    _Atomic int64_t stands_at_ns; /* since 1970; 0: the clock goes */
    _Atomic int64_t stop;         /* where the disk stands still: 0 nowhere, 1 before a write, 2 before its sync, 3 after it */
    _Atomic int64_t stopped;      /* 1 while it does */
    char text[224];               /* of which write */
};

static struct machine *machine;

__attribute__((constructor)) static void open_machine(void) {
    const char *path = getenv("CHANCERY_MACHINE");
    int file = path ? open(path, O_RDWR) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof(struct machine), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) machine = mapped;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    if (result || !machine || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return result;
    int64_t now = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + machine->ahead_ns;
    if (machine->stands_at_ns) now = machine->stands_at_ns;
    time->tv_sec = now / 1000000000;
    time->tv_nsec = now % 1000000000;
    return 0;
}

/* Whether it is a segment of a site's record. */
static int is_record(int file) {
    char link[32], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path);
    return length > 6 && !memcmp(path + length - 6, ".jsonl", 6);
}

/* One thread writes a record, so that its sync is of its last write. */
static int awaits_sync;

static void stand_still(int64_t at) {
    if (machine->stop != at) return;
    machine->stopped = 1;
    while (machine->stop == at) usleep(1000);
    machine->stopped = 0;
}

ssize_t write(int file, const void *bytes, size_t length) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    if (machine && machine->stop && is_record(file) && memmem(bytes, length, machine->text, strlen(machine->text))) {
        awaits_sync = 1;
        stand_still(1);
    }
    return real(file, bytes, length);
}

int fdatasync(int file) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    int is_awaited = machine && awaits_sync && is_record(file);
    if (is_awaited) stand_still(2);
    int result = real(file);
    if (is_awaited) {
        stand_still(3);
        awaits_sync = 0;
    }
    return result;
}
