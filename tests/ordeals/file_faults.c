/* Counts the file operations of a process below one folder, and lets one of them go wrong.

   Loaded with LD_PRELOAD, it does nothing until `file_faults_arm` is called, in a process that has
   forked. It puts itself before the C library's functions, so whatever calls these is seen: Python,
   numpy, zipfile. What the C library calls by itself (fwrite) is not. file_faults.py is its other half:
   both know the names of operations, which are the lines of its log. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* the order is that of file_faults.Act */
enum act { NOTHING, DIE_BEFORE, DIE_AFTER, DIE_HALFWAY, FAIL_ONCE, FAIL_ON, FAIL_HALFWAY, FAIL_AFTER };

/* the order is that of file_faults.OPERATIONS */
enum operation {
    CREATE, OPEN, LIST, READ, STAT, WRITE, SYNC, SYNC_FOLDER, TRUNCATE, CLOSE, RENAME, LINK, UNLINK,
    MKDIR, RMDIR, TOUCH
};

static const char *const names[] = {
    "create", "open", "list", "read", "stat", "write", "sync", "sync folder", "truncate", "close",
    "rename", "link", "unlink", "mkdir", "rmdir", "touch",
};

#define DESCRIPTORS 65536
enum { OURS = 1, WRITABLE = 2, FOLDER = 4 };
static unsigned char descriptors[DESCRIPTORS];

/* the ends of their names, for the log */
#define NAMED 1024
static char paths[NAMED][128];

static char folder[PATH_MAX];
static size_t length;
static pid_t armed; /* 0: nobody; children are others */
static atomic_long done;
static long target;
static enum act act;
static int with_errno, log_to = -1;
static unsigned may_fail; /* a bit for each operation */
static atomic_int failing;
static int half_written = -1;

void file_faults_arm(const char *below, int log, long number, int what, int error, unsigned operations)
{
    length = strlen(below);
    memcpy(folder, below, length + 1);
    log_to = log;
    target = number;
    act = what;
    with_errno = error;
    may_fail = operations;
    armed = getpid();
}

void file_faults_disarm(void)
{
    armed = 0;
}

/* what a driver leaves for people who look on: a thread writes it when it comes to it, so that a fault
   there would not be found again, and no run relies on it (tests/loop/test_live.py) */
static int for_lookers_on(const char *path)
{
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    return strstr(name, "live.json") || strstr(name, "chart.json") || !strncmp(name, "log.", 4);
}

static int below(const char *path)
{
    return path && strncmp(path, folder, length) == 0 && (path[length] == '/' || !path[length])
           && !for_lookers_on(path);
}

static int known(int descriptor)
{
    return descriptor >= 0 && descriptor < DESCRIPTORS ? descriptors[descriptor] : 0;
}

static int ours(int at, const char *path)
{
    if (!armed || armed != getpid())
        return 0;
    return path && path[0] == '/' ? below(path) : known(at);
}

static int ours_open(int descriptor)
{
    return armed && known(descriptor) && armed == getpid();
}

static void keep(int descriptor, int what, const char *path)
{
    if (descriptor >= 0 && descriptor < DESCRIPTORS)
        descriptors[descriptor] = what;
    if (descriptor >= 0 && descriptor < NAMED) {
        size_t size = strlen(path), most = sizeof paths[0] - 1;
        strcpy(paths[descriptor], path + (size > most ? size - most : 0));
    }
}

static const char *name_of(int descriptor)
{
    return descriptor >= 0 && descriptor < NAMED ? paths[descriptor] : "";
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static void note(long number, enum operation operation, const char *path)
{
    char line[PATH_MAX + 64];
    int size = snprintf(line, sizeof line, "%ld\t%s\t%s\n", number, names[operation], path);
    if (log_to >= 0 && syscall(SYS_write, log_to, line, (size_t)size) < 0)
        die(); /* a test that does not know what it does is none */
}

/* What is to become of an operation: it is numbered, and may not come to its call. */
static enum act meet(enum operation operation, const char *path)
{
    long number = atomic_fetch_add(&done, 1) + 1;
    note(number, operation, path);
    if (number == target) {
        if (act == DIE_BEFORE)
            die();
        if (act == FAIL_ON)
            failing = 1;
        if (act == FAIL_ONCE || act == FAIL_ON)
            errno = with_errno;
        return act;
    }
    if (failing && may_fail >> operation & 1) {
        errno = with_errno;
        return FAIL_ONCE;
    }
    return NOTHING;
}

static int fails(enum act what)
{
    return what == FAIL_ONCE || what == FAIL_ON;
}

/* After its call. An error that comes with a thing done is what a file server's lost answer is. */
static long over(enum act what, long result)
{
    if (what == DIE_AFTER || what == DIE_HALFWAY)
        die();
    if (what == FAIL_AFTER && result >= 0) {
        errno = with_errno;
        return -1;
    }
    return result;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define AROUND(at, operation, path, call)            \
    if (!ours(at, path))                             \
        return call;                                 \
    enum act what = meet(operation, path);           \
    return fails(what) ? -1 : (int)over(what, call);

/* opening and closing */

static int opened(int at, const char *path, int flags, int (*really)(int, const char *, int, mode_t), mode_t mode)
{
    if (!ours(at, path))
        return really(at, path, flags, mode);
    int writes = flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC);
    enum act what = meet(writes ? CREATE : OPEN, path);
    if (fails(what))
        return -1;
    int descriptor = really(at, path, flags, mode);
    long result = over(what, descriptor);
    if (result < 0 && descriptor >= 0)
        syscall(SYS_close, descriptor);
    else
        keep(descriptor, OURS | (writes ? WRITABLE : 0) | (flags & O_DIRECTORY ? FOLDER : 0), path);
    return (int)result;
}

#define MODE(flags)                          \
    mode_t mode = 0;                         \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { \
        va_list more;                        \
        va_start(more, flags);               \
        mode = va_arg(more, mode_t);         \
        va_end(more);                        \
    }

static int really_open(int at, const char *path, int flags, mode_t mode)
{
    return (int)syscall(SYS_openat, at, path, flags | O_LARGEFILE, mode);
}

int open(const char *path, int flags, ...)
{
    MODE(flags)
    return opened(AT_FDCWD, path, flags, really_open, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE(flags)
    return opened(AT_FDCWD, path, flags, really_open, mode);
}

int openat(int at, const char *path, int flags, ...)
{
    MODE(flags)
    return opened(at, path, flags, really_open, mode);
}

int openat64(int at, const char *path, int flags, ...)
{
    MODE(flags)
    return opened(at, path, flags, really_open, mode);
}

DIR *opendir(const char *path)
{
    if (!ours(AT_FDCWD, path))
        return REAL(opendir)(path);
    if (fails(meet(LIST, path)))
        return NULL;
    return REAL(opendir)(path);
}

int close(int descriptor)
{
    int what = armed && armed == getpid() ? known(descriptor) : 0;
    if (what)
        descriptors[descriptor] = 0;
    if (what && descriptor == half_written)
        half_written = -1;
    if (!(what & WRITABLE))
        return REAL(close)(descriptor);
    enum act met = meet(CLOSE, name_of(descriptor));
    int result = REAL(close)(descriptor); /* it is closed, whatever close says */
    return fails(met) ? (errno = with_errno, -1) : (int)over(met, result);
}

/* reading and writing */

ssize_t read(int descriptor, void *into, size_t size)
{
    if (ours_open(descriptor) && fails(meet(READ, name_of(descriptor))))
        return -1;
    return REAL(read)(descriptor, into, size);
}

ssize_t pread64(int descriptor, void *into, size_t size, off64_t from)
{
    if (ours_open(descriptor) && fails(meet(READ, name_of(descriptor))))
        return -1;
    return REAL(pread64)(descriptor, into, size, from);
}

/* How much of so many bytes is written; -1: none, and it fails. */
static ssize_t share(enum act what, int descriptor, size_t size)
{
    if (half_written == descriptor) { /* the rest of what was half written */
        errno = with_errno;
        return -1;
    }
    if (fails(what))
        return -1;
    if (what == FAIL_HALFWAY)
        half_written = descriptor;
    return (ssize_t)(what == DIE_HALFWAY || what == FAIL_HALFWAY ? size / 2 : size);
}

ssize_t write(int descriptor, const void *from, size_t size)
{
    if (!ours_open(descriptor))
        return REAL(write)(descriptor, from, size);
    enum act what = meet(WRITE, name_of(descriptor));
    ssize_t part = share(what, descriptor, size);
    return part < 0 ? -1 : (ssize_t)over(what, REAL(write)(descriptor, from, (size_t)part));
}

ssize_t pwrite64(int descriptor, const void *from, size_t size, off64_t at)
{
    if (!ours_open(descriptor))
        return REAL(pwrite64)(descriptor, from, size, at);
    enum act what = meet(WRITE, name_of(descriptor));
    ssize_t part = share(what, descriptor, size);
    return part < 0 ? -1 : (ssize_t)over(what, REAL(pwrite64)(descriptor, from, (size_t)part, at));
}

ssize_t writev(int descriptor, const struct iovec *parts, int count)
{
    if (!ours_open(descriptor) || count < 1)
        return REAL(writev)(descriptor, parts, count);
    return write(descriptor, parts[0].iov_base, parts[0].iov_len); /* who calls it, writes the rest */
}

/* Within the kernel: shutil's copies. */
ssize_t sendfile64(int to, int from, off64_t *at, size_t size)
{
    if (!ours_open(to))
        return REAL(sendfile64)(to, from, at, size);
    enum act what = meet(WRITE, name_of(to));
    ssize_t part = share(what, to, size);
    return part < 0 ? -1 : (ssize_t)over(what, REAL(sendfile64)(to, from, at, (size_t)part));
}

ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *at_to, size_t size, unsigned flags)
{
    if (!ours_open(to))
        return REAL(copy_file_range)(from, at, to, at_to, size, flags);
    enum act what = meet(WRITE, name_of(to));
    ssize_t part = share(what, to, size);
    if (part < 0)
        return -1;
    return (ssize_t)over(what, REAL(copy_file_range)(from, at, to, at_to, (size_t)part, flags));
}

/* What no kill can tell from a sync is not waited for. */
static int sync_one(int descriptor, int (*really)(int))
{
    if (!ours_open(descriptor))
        return really(descriptor);
    enum act what = meet(known(descriptor) & FOLDER ? SYNC_FOLDER : SYNC, name_of(descriptor));
    return fails(what) ? -1 : (int)over(what, 0);
}

int fsync(int descriptor)
{
    return sync_one(descriptor, REAL(fsync));
}

int fdatasync(int descriptor)
{
    return sync_one(descriptor, REAL(fdatasync));
}

int ftruncate64(int descriptor, off64_t size)
{
    if (!ours_open(descriptor))
        return REAL(ftruncate64)(descriptor, size);
    enum act what = meet(TRUNCATE, name_of(descriptor));
    return fails(what) ? -1 : (int)over(what, REAL(ftruncate64)(descriptor, size));
}

int truncate64(const char *path, off64_t size)
{
    AROUND(AT_FDCWD, TRUNCATE, path, REAL(truncate64)(path, size))
}

/* names */

int rename(const char *from, const char *to)
{
    AROUND(AT_FDCWD, RENAME, to, REAL(rename)(from, to))
}

int renameat(int at, const char *from, int at_to, const char *to)
{
    AROUND(at_to, RENAME, to, REAL(renameat)(at, from, at_to, to))
}

int link(const char *from, const char *to)
{
    AROUND(AT_FDCWD, LINK, to, REAL(link)(from, to))
}

int linkat(int at, const char *from, int at_to, const char *to, int flags)
{
    AROUND(at_to, LINK, to, REAL(linkat)(at, from, at_to, to, flags))
}

int symlink(const char *from, const char *to)
{
    AROUND(AT_FDCWD, LINK, to, REAL(symlink)(from, to))
}

int unlink(const char *path)
{
    AROUND(AT_FDCWD, UNLINK, path, REAL(unlink)(path))
}

int unlinkat(int at, const char *path, int flags)
{
    AROUND(at, flags & AT_REMOVEDIR ? RMDIR : UNLINK, path, REAL(unlinkat)(at, path, flags))
}

int mkdir(const char *path, mode_t mode)
{
    AROUND(AT_FDCWD, MKDIR, path, REAL(mkdir)(path, mode))
}

int mkdirat(int at, const char *path, mode_t mode)
{
    AROUND(at, MKDIR, path, REAL(mkdirat)(at, path, mode))
}

int rmdir(const char *path)
{
    AROUND(AT_FDCWD, RMDIR, path, REAL(rmdir)(path))
}

/* what is known of them */

int stat64(const char *path, struct stat64 *into)
{
    AROUND(AT_FDCWD, STAT, path, REAL(stat64)(path, into))
}

int lstat64(const char *path, struct stat64 *into)
{
    AROUND(AT_FDCWD, STAT, path, REAL(lstat64)(path, into))
}

int fstatat64(int at, const char *path, struct stat64 *into, int flags)
{
    AROUND(at, STAT, path, REAL(fstatat64)(at, path, into, flags))
}

int utimensat(int at, const char *path, const struct timespec times[2], int flags)
{
    AROUND(at, TOUCH, path, REAL(utimensat)(at, path, times, flags))
}
